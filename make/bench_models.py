#!/usr/bin/env python3
"""Times embed and mnrl-train beside sentence-transformers and fastembed: the same texts, model, threads and length.

The machine may be busy, so in every round the two sides run one after the other, and only the ratio of their speeds is
reliable. A training's speed counts only if the training has learnt something: the fall of the pairs' loss, and how well the
pairs then find each other, are printed for both sides. If embtune's loss falls less than three quarters as far as the
reference's, the benchmark fails.
"""
import json
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass

import measure

HERE = pathlib.Path(__file__).resolve().parent
# With these learning rates three steps show in the loss; the time of a step does not depend on them.
TRAININGS = {
    "train, fp32": ["--precision", "fp32", "--learning-rate", "1e-4"],
    "train, bf16": ["--precision", "bf16", "--learning-rate", "1e-4"],
    "train, LoRA": ["--precision", "fp32", "--learning-rate", "2e-3", "--lora", "r=16,alpha=32,targets=query,value"],
}


@dataclass
class Timed:
    """One run of one side."""

    tokens_per_second: float
    seconds: float
    peak_mb: float


@dataclass
class Fit:
    """How well a model does on the pairs that it was trained with."""

    loss: float
    ndcg: float


class Bench:
    """The two sides, on the same inputs, in a folder for their files."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.texts = measure.head(options.texts, folder / "texts.jsonl", 300)
        self.pairs = measure.head(options.pairs, folder / "pairs.jsonl", options.count)
        self.shard = folder / "shard.safetensors"
        self.tokens_per_text = []
        self.seconds_outside_steps = []
        self.write_pairs()

    def write_pairs(self):
        """Writes the pairs as a shard, and as queries, documents and judgments."""
        options = self.options
        measure.run(options.bin / "pairs2shards", "--model", options.model, "--near-duplicate", 1, self.pairs, "-o", self.shard)
        pairs = [json.loads(line) for line in self.pairs.read_text(encoding="utf-8").splitlines()]
        for role, column in (("query", "anchor"), ("document", "positive")):
            ids = {text: f"{role}{number}" for number, text in enumerate(dict.fromkeys(pair[column] for pair in pairs))}
            records = (json.dumps({"_id": id, "text": text}) for text, id in ids.items())
            (self.folder / f"{role}.jsonl").write_text("\n".join(records), encoding="utf-8")
            for pair in pairs:
                pair[role] = ids[pair[column]]
        judged = "".join(f"{pair['query']} 0 {pair['document']} 1\n" for pair in pairs)
        (self.folder / "qrels.tsv").write_text(judged, encoding="utf-8")

    def embed(self, precision):
        options = self.options
        command = [options.bin / "embed", "--model", options.model, "--device", "cpu", "--threads", options.threads]
        command += ["--precision", precision, "-v", self.texts, "-o", "/dev/null", "--format", "safetensors"]
        ran = measure.run(*command)
        texts, tokens, seconds = re.search(r"(\d+) texts, (\d+) tokens in ([\d.]+) s", ran.stderr).groups()
        self.tokens_per_text.append(int(tokens) / int(texts))
        return Timed(int(tokens) / float(seconds), ran.seconds, ran.peak_mb)

    def mnrl_train(self, model, out, *flags):
        """Trains on all pairs; returns each step's record and the measurements."""
        options = self.options
        command = [options.bin / "mnrl-train", "--model", model, "--out", out, "--overwrite", "--device", "cpu"]
        # The reference does not mask the other passages of a pair's document.
        command += ["--threads", options.threads, "--epochs", 1, "--warmup-steps", 0, "--no-mask", *flags, self.shard]
        ran = measure.run(*command)
        return [json.loads(line) for line in ran.stdout.splitlines()], ran

    def train(self, *flags):
        steps, ran = self.mnrl_train(self.options.model, self.folder / "ours", *flags)
        seconds = sum(step["tokens"] / step["tokens_per_sec"] for step in steps)
        self.seconds_outside_steps.append(ran.seconds - seconds)
        return Timed(sum(step["tokens"] for step in steps) / seconds, ran.seconds, ran.peak_mb)

    def sentence_transformers(self, work, path, *flags):
        options = self.options
        script = HERE / "reference_sentence_transformers.py"
        ran = measure.run(options.python, script, work, options.model, path, "--threads", options.threads, *flags)
        measured = json.loads(ran.stdout.splitlines()[-1])
        return Timed(measured["tokens"] / measured["seconds"], ran.seconds, ran.peak_mb)

    def onnx(self, work, *flags):
        """Runs reference_onnx.py, whose packages shadow those of the environment."""
        script, readers = HERE / "reference_onnx.py", {"PYTHONPATH": str(self.options.readers)}
        ran = measure.run(self.options.python, script, work, "--threads", self.options.threads, *flags, env=readers)
        return json.loads(ran.stdout), ran

    def fastembed(self):
        options = self.options
        flags = ["--model", options.model, "--input", self.texts, "--st2onnx", options.bin / "st2onnx"]
        measured, ran = self.onnx("fastembed", *flags)
        return Timed(measured["tokens"] / measured["seconds"], ran.seconds, ran.peak_mb)

    def fit(self, model):
        """The mean loss of a training that changes nothing, and NDCG@10 of the positives for their anchors."""
        options = self.options
        steps, _ = self.mnrl_train(model, self.folder / "still", "--learning-rate", 0, "--dropout", 0)
        files = {role: self.folder / f"fit.{role}.safetensors" for role in ("query", "document")}
        for role, vectors in files.items():
            command = [options.bin / "embed", "--model", model, "--device", "cpu", "--threads", options.threads]
            measure.run(*command, "--role", role, self.folder / f"{role}.jsonl", "-o", vectors)
        command = [options.bin / "ir-eval", "--qrels", self.folder / "qrels.tsv", "--metrics", "ndcg@10", "--format", "json"]
        report = measure.run(*command, f"x={files['query']},{files['document']}").stdout
        ndcg = json.loads(report)["systems"][0]["metrics"]["ndcg@10"]
        return Fit(sum(step["loss"] for step in steps) / len(steps), ndcg)

    def matmul_share(self):
        """The GFLOP/s of embed's matrix products, those of ONNX Runtime's MatMul alone, and their ratio."""
        # In turns, because the machine's speed changes from minute to minute.
        rounds = range(self.options.rounds)
        turns = [(self.embed("fp32").tokens_per_second, self.onnx("matmul")[0]["gflops"]) for _ in rounds]
        operations = operations_per_token(self.options.model, statistics.mean(self.tokens_per_text)) / 1e9
        mine, bare = (statistics.median(side) for side in zip(*turns))
        return mine * operations, bare, statistics.median(mine * operations / bare for mine, bare in turns)


def check_learnt(work, base, ours, theirs):
    """Fails the benchmark if embtune has learnt much less than the reference."""
    fell, expected = base.loss - ours.loss, base.loss - theirs.loss
    if not fell > 0.75 * expected > 0 or ours.ndcg < base.ndcg:
        sys.exit(
            f"bench: {work}: the loss of the pairs fell by {fell:.4f}, sentence-transformers' by {expected:.4f};"
            f" NDCG@10 was {base.ndcg:.4f}, and is {ours.ndcg:.4f} and {theirs.ndcg:.4f}."
            " The training has not learnt, so its speed means nothing."
        )


def operations_per_token(model, length):
    """Of all matrix products: linear layers, and attention in a text of `length` tokens."""
    config = json.loads((model / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return config["num_hidden_layers"] * 2 * (4 * hidden * hidden + 2 * hidden * inner + 2 * hidden * length)


def main():
    parser = measure.parser(__doc__, "bin", "python", "model", "texts", "rounds", "threads")
    parser.add_argument("--readers", type=pathlib.Path, required=True, help="packages of that Python with fastembed and onnx")
    parser.add_argument("--pairs", type=pathlib.Path, required=True, help="pairs as JSON Lines, for mnrl-train")
    parser.add_argument("--count", type=int, default=96, help="number of pairs; a batch has 32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure_all(options, Bench(options, pathlib.Path(name)))


def measure_all(options, bench):
    sides = {
        f"embed, {precision}": (
            lambda precision=precision: bench.embed(precision),
            lambda: bench.sentence_transformers("embed", bench.texts),
        )
        for precision in ("fp32", "int8")
    }
    sides["embed, fastembed"] = (lambda: bench.embed("fp32"), bench.fastembed)
    for work, flags in TRAININGS.items():
        reference = [*flags, "--out", bench.folder / "theirs"]
        sides[work] = (
            lambda flags=flags: bench.train(*flags),
            lambda reference=reference: bench.sentence_transformers("train", bench.pairs, *reference),
        )

    base = bench.fit(options.model)
    results, learnt = {}, {}
    for work, (ours, theirs) in sides.items():
        results[work] = [(ours(), theirs()) for _ in range(options.rounds)]
        if work in TRAININGS:
            # The reference writes its own form of tokenizer.json, but the shard was made with the base model's.
            shutil.copy(options.model / "tokenizer.json", bench.folder / "theirs")
            learnt[work] = [bench.fit(bench.folder / side) for side in ("ours", "theirs")]
            check_learnt(work, base, *learnt[work])

    print(f"{options.threads} threads, median of {options.rounds} rounds; sentence-transformers, or fastembed, on the right")
    print(f"{'':17}{'tokens/s':>20}{'ratio':>8}{'whole process':>15}{'peak memory, MB':>18}")
    for work, rounds in results.items():
        ratio = statistics.median(ours.tokens_per_second / theirs.tokens_per_second for ours, theirs in rounds)
        whole = statistics.median(theirs.seconds / ours.seconds for ours, theirs in rounds)
        speed, their_speed = (statistics.median(timed.tokens_per_second for timed in side) for side in zip(*rounds))
        memory, their_memory = (max(timed.peak_mb for timed in side) for side in zip(*rounds))
        print(f"{work:17}{speed:>10,.0f} {their_speed:>9,.0f}{ratio:>7.2f}x{whole:>14.2f}x{memory:>10,.0f} {their_memory:>7,.0f}")
    mine, bare, share = bench.matmul_share()
    print(f"embed, fp32: matrix products of {mine:,.0f} GFLOP/s, {share:.0%} of ONNX Runtime's MatMul alone ({bare:,.0f})")
    print(f"mnrl-train outside its steps (start, load, save): {statistics.median(bench.seconds_outside_steps):.1f} s")
    print("loss and NDCG@10 of the pairs before the training and after it, sentence-transformers on the right")
    for work, fits in learnt.items():
        losses, ndcgs = ("  ".join(f"{getattr(fit, name):.4f}" for fit in fits) for name in ("loss", "ndcg"))
        print(f"{work:17}{base.loss:>10.4f} -> {losses}{base.ndcg:>12.4f} -> {ndcgs}")


if __name__ == "__main__":
    main()
