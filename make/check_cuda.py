"""The checks of make/cuda.py."""
import contextlib
import functools
import json
import math
import pathlib
import shutil
import statistics

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures/parity"
TINY = ["tiny-bert", "tiny-xlmr", "tiny-mpnet", "tiny-distilbert", "tiny-roberta", "tiny-dense"]

# fp32 on both sides, TF32 off: only the order of the sums differs.
SMALLEST_COSINE = 0.99999
# fp16 keeps 11 bits of a number, fp32 24.
SMALLEST_FP16_COSINE = 0.9999
# On the CPU another order of the sums changes a figure by 5e-7, and bf16 changes it by 5e-3 to 2e-2. TF32 has three
# more bits than bf16 and would change it by about 1e-3, which must be noticed.
LARGEST_FP32_DIFFERENCE = 1e-4
# mnrl-train promises this for bf16; on the CPU the difference is 0.3 %.
LARGEST_BF16_DIFFERENCE = 0.02
# The dropout masks must be the same, but FlashAttention's backward pass adds in no fixed order.
LARGEST_REPLAY_DIFFERENCE = 1e-3
# Masks can be compared only if they matter: on the CPU dropout changes a figure by 0.1 to 3.
SMALLEST_EFFECT_OF_DROPOUT = 0.02


def relative(a, b):
    return abs(a - b) / max(abs(b), 1e-3)


def differences(steps, others):
    """Largest relative differences of the losses and of the gradients' norms."""
    pairs = list(zip(steps, others, strict=True))
    return tuple(max(relative(a[key], b[key]) for a, b in pairs) for key in ("loss", "grad_norm"))


def judge(steps, others, largest):
    loss, norm = differences(steps, others)
    return max(loss, norm) < largest, f"loss {loss:.1e}, gradient norm {norm:.1e}, {len(steps)} steps"


def narrow_heads(lab):
    """A model with heads of size 2: the kernels take only multiples of 8 in bf16, and of 4 in fp32."""
    path = lab.new("tiny-bert")
    shutil.copytree(FIXTURES / "tiny-bert", path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    (path / "config.json").write_text(json.dumps(config | {"num_attention_heads": config["hidden_size"] // 2}))
    return path


def cosine(a, b):
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def checks(lab):
    @functools.cache
    def curve(model, device, precision, *flags):
        """The steps of a training whose learning rate is so high that each step shows in the next one's loss."""
        flags = ("--epochs", 1, "--batch-size", 16, "--dropout", 0, "--warmup-steps", 2, "--precision", precision, *flags)
        flags = flags if "--learning-rate" in flags else ("--learning-rate", "1e-4", *flags)
        return list(lab.steps(model, lab.shard(model, lab.pairs), *flags, device=device))

    @functools.cache
    def vectors(model, device, precision="fp32"):
        flags = ("--model", model, "--device", device, "--precision", precision, "--format", "jsonl")
        out, _ = lab.filter("embed", *flags, lab.corpus)
        return [json.loads(line)["embedding"] for line in out.splitlines()]

    # All kinds of positions, pooling and attention; heads that the fast kernels do not take are among them.
    for name, model in {"the model": lab.model, **{name: FIXTURES / name for name in TINY}}.items():
        for precision, smallest in (("fp32", SMALLEST_COSINE), ("fp16", SMALLEST_FP16_COSINE)):

            @lab.check(f"embed: {precision} vectors as the CPU's in fp32, {name}, lowest cosine")
            def _():
                # On a CPU, where only this script is tested, there are no kernels for fp16.
                found = vectors(model, lab.device, precision if lab.device != "cpu" else "fp32")
                lowest = min(map(cosine, found, vectors(model, "cpu")))
                return lowest > smallest, f"{lowest:.7f}"

    @lab.check("embed: every kernel but those of shapes runs on the device")
    def _():
        _, messages = lab.filter("embed", "--model", lab.model, "--device", lab.device, "-v", lab.corpus)
        lines = [line for line in messages.splitlines() if "ExecutionProvider ran" in line]
        provider = "CPUExecutionProvider" if lab.device == "cpu" else "CUDAExecutionProvider"
        heavy = ("MatMul", "Gemm", "Attention")
        on = [line for line in lines if any(op in line for op in heavy)]
        return len(on) == 1 and provider in on[0], " | ".join(line.split(": ", 1)[-1] for line in lines)

    models = {"the model": lab.model} | {name: FIXTURES / name for name in TINY} | {"heads of 2": narrow_heads(lab)}
    for name, model in models.items():

        @lab.check(f"mnrl-train: fp32 as on the CPU, {name}")
        def _():
            return judge(curve(model, lab.device, "fp32"), curve(model, "cpu", "fp32"), LARGEST_FP32_DIFFERENCE)

    # All kinds of attention: FlashAttention, the one with a bias, heads that are padded.
    for name in ("the model", "tiny-mpnet", "heads of 2"):

        @lab.check(f"mnrl-train: bf16's loss curve as fp32's, {name}, mean relative difference")
        def _():
            curves = (curve(models[name], lab.device, precision) for precision in ("bf16", "fp32"))
            mean = statistics.mean(relative(a["loss"], b["loss"]) for a, b in zip(*curves, strict=True))
            return mean < LARGEST_BF16_DIFFERENCE, f"{mean:.2%}"

    for precision, largest in (("fp32", LARGEST_FP32_DIFFERENCE), ("bf16", LARGEST_BF16_DIFFERENCE)):

        @lab.check(f"mnrl-train: LoRA in {precision} as on the CPU in fp32, the model")
        def _():
            flags = ("--learning-rate", "1e-3", "--lora", "r=8,targets=query,value,intermediate.dense")
            return judge(curve(lab.model, lab.device, precision, *flags), curve(lab.model, "cpu", "fp32", *flags), largest)

    for name, precision in (("the model", "fp32"), ("the model", "bf16"), ("tiny-mpnet", "fp32")):

        @lab.check(f"mnrl-train: GradCache with dropout, graphs kept, in part or not at all, {name} in {precision}")
        def _():
            def run(dropout, memory):
                model = models[name]
                flags = ("--epochs", 1, "--batch-size", 32, "--batch-tokens", 512, "--warmup-steps", 2)
                flags += ("--precision", precision, "--dropout", dropout, "--memory", memory)
                return list(lab.steps(model, lab.shard(model, lab.pairs), *flags))

            kept, part, again = (run(0.1, memory) for memory in ("16G", "100M", "1K"))
            effect = min(differences(kept, run(0, "16G")))
            if not effect > SMALLEST_EFFECT_OF_DROPOUT:
                return False, f"dropout changes a figure by {effect:.1e} only"
            worst = max(part, again, key=lambda steps: max(differences(steps, kept)))
            return judge(worst, kept, LARGEST_REPLAY_DIFFERENCE)

    # Two processes on one GPU, which NCCL refuses, and on two GPUs where there are two.
    groups = {"on one device, by Gloo": (0, 0)} | ({"on two GPUs, by NCCL": (0, 1)} if lab.gpus > 1 else {})
    for title, gpus in groups.items():

        @lab.check(f"mnrl-train: two processes {title}, as one process")
        def _():
            arguments = (lab.model, lab.shard(lab.model, lab.pairs))
            flags = ("--epochs", 1, "--batch-size", 16, "--dropout", 0, "--warmup-steps", 2)
            steps, messages = lab.steps_of_group(*arguments, gpus, *flags)
            fine, figure = judge(steps, curve(lab.model, lab.device, "fp32"), LARGEST_FP32_DIFFERENCE)
            by_nccl = lab.gpus > 0 and "NCCL does not run" not in messages
            return fine and by_nccl == (len(set(gpus)) > 1), f"{figure}, {'NCCL' if by_nccl else 'Gloo'}"

        @lab.check(f"mnrl-train: two processes {title}, one of which is killed: the other ends")
        def _():
            arguments = (lab.model, lab.shard(lab.model, lab.pairs))
            flags = ("--epochs", 1000, "--batch-size", 16, "--warmup-steps", 2, "--dist-timeout", 20)
            first, second = lab.start_group(*arguments, gpus, *flags)
            try:
                for _ in range(3):
                    first.stdout.readline()
                second.kill()
                _, messages = first.communicate(timeout=120)
            finally:
                for process in (first, second):
                    process.kill()
                    process.communicate()
            figure = next((line for line in messages.splitlines() if "rank 1" in line), messages.strip())
            return first.returncode == 2 and "rank 1 stopped responding" in figure, figure

    @lab.check("mnrl-train: --resume after SIGKILL, with dropout, as if not interrupted")
    def _():
        arguments = (lab.model, lab.shard(lab.model, lab.pairs), "--epochs", 1, "--batch-size", 8)
        arguments += ("--warmup-steps", 2, "--dropout", 0.1)
        whole, out, safely = list(lab.steps(*arguments)), lab.new("model"), ("--checkpoint-every", 4)
        with contextlib.closing(lab.steps(*arguments, *safely, out=out)) as steps:
            any(step["step"] == 6 for step in steps)  # the checkpoint of step 4 is written by then
        if out.exists():
            raise RuntimeError("the training ended before it was killed")
        resumed = list(lab.steps(*arguments, *safely, "--resume", out=out))
        first = resumed[0]["step"]
        if first == 1:
            raise RuntimeError("the training started from scratch")
        fine, figure = judge(resumed, whole[first - 1 :], LARGEST_REPLAY_DIFFERENCE)
        return fine, f"{figure} from {first} on"

    @lab.check("mnrl-train: in bf16 the loss falls, and embed on the CPU gives finite vectors, other than the base's")
    def _():
        out, shard = lab.new("model"), lab.shard(lab.model, lab.pairs)
        flags = ("--epochs", 3, "--batch-size", 16, "--warmup-steps", 2, "--learning-rate", "5e-5")
        losses = [step["loss"] for step in lab.steps(lab.model, shard, *flags, "--precision", "bf16", out=out)]
        third = len(losses) // 3
        first, last = (statistics.mean(part) for part in (losses[:third], losses[-third:]))
        found = vectors(out, "cpu")
        finite = all(math.isfinite(number) for vector in found for number in vector)
        moved = 1 - statistics.mean(map(cosine, found, vectors(lab.model, "cpu")))
        figure = f"loss {first:.3f} to {last:.3f}, cosine to the base's 1 - {moved:.1e}"
        return last < first and finite and moved > 1e-4, figure if finite else f"{figure}, not finite"

    @lab.check("ir-eval: report as with the CPU's search")
    def _():
        heldout = lab.new("heldout")
        split = ("--holdout", 0.9, "--holdout-dir", heldout)
        lab.filter("pairs2shards", "--model", lab.model, *split, lab.pairs, "-o", "/dev/null")
        paths = {"query": heldout / "queries.jsonl", "document": lab.corpus}
        for role, path in paths.items():
            flags = ("--model", lab.model, "--role", role, "--device", "cpu")
            lab.filter("embed", *flags, path, "-o", heldout / f"{role}.safetensors")
        system = f"base={heldout}/query.safetensors,{heldout}/document.safetensors"
        flags = ("--qrels", heldout / "qrels.tsv", system)
        reports = [lab.filter("ir-eval", "--device", device, *flags)[0] for device in (lab.device, "cpu")]
        return reports[0] == reports[1], "same" if reports[0] == reports[1] else "differs"
