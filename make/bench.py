#!/usr/bin/env python3
"""Times embtune beside sentence-transformers and fastembed: the same texts, model, threads and length, in turns; medians
and ratios.

The machine may be busy, so the two run one after the other in every round and only their ratio is to be trusted. A
training is worth a figure only if it has learnt: how much the loss of the pairs fell, and how much better they find each
other, is printed beside its speed, on both sides. Where embtune's falls less than three quarters as far, there is no
speed.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


def run(command):
    """Runs a command; gives what it printed, its wall seconds and its peak memory in MB."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        process = subprocess.Popen(command, stdout=out, stderr=error)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0), error.seek(0)
        if status:
            sys.exit(f"bench: {' '.join(command)} failed:\n{error.read()}")
        return out.read(), error.read(), seconds, usage.ru_maxrss / 1024


def ours_embed(options, path, precision):
    command = [f"{options.bin}/embed", "--model", options.model, "--device", "cpu", "--threads", str(options.threads)]
    command += ["--precision", precision, "-v"]
    _, error, wall, memory = run([*command, path, "-o", "/dev/null", "--format", "safetensors"])
    found = re.search(r"(\d+) texts, (\d+) tokens in ([\d.]+) s", error)
    lengths.append(int(found[2]) / int(found[1]))
    return int(found[2]) / float(found[3]), wall, memory


def mnrl_train(options, model, out, *flags):
    """Runs mnrl-train on the shard of all pairs; gives its log, its wall seconds and its peak memory."""
    command = [f"{options.bin}/mnrl-train", "--model", model, "--out", out, "--overwrite", "--device", "cpu"]
    # The reference does not mask the other passages of a pair's document.
    command += ["--threads", str(options.threads), "--epochs", "1", "--warmup-steps", "0", "--no-mask"]
    command += [*flags, options.shard]
    log, _, wall, memory = run(command)
    return [json.loads(line) for line in log.splitlines()], wall, memory


def ours_train(options, out, *flags):
    steps, wall, memory = mnrl_train(options, options.model, out, *flags)
    seconds = sum(step["tokens"] / step["tokens_per_sec"] for step in steps)
    overheads.append(wall - seconds)
    return sum(step["tokens"] for step in steps) / seconds, wall, memory


@dataclass
class Fit:
    """How well a model does on the pairs that were trained."""

    loss: float
    ndcg: float

    @classmethod
    def of(cls, options, model):
        """The mean loss of a training that moves nothing, and NDCG@10 of the positives for their anchors."""
        steps, _, _ = mnrl_train(options, model, f"{options.work}/still", "--learning-rate", "0", "--dropout", "0")
        files = {role: f"{options.work}/fit.{role}" for role in ("query", "document")}
        for role, vectors in files.items():
            command = [f"{options.bin}/embed", "--model", model, "--device", "cpu", "--threads", str(options.threads)]
            run([*command, "--role", role, f"{options.work}/{role}.jsonl", "-o", vectors])
        command = [f"{options.bin}/ir-eval", "--qrels", f"{options.work}/qrels.tsv", "--metrics", "ndcg@10", "--format", "json"]
        report, *_ = run([*command, f"x={files['query']},{files['document']}"])
        ndcg = json.loads(report)["systems"][0]["metrics"]["ndcg@10"]
        return cls(sum(step["loss"] for step in steps) / len(steps), ndcg)


def check_learnt(work, base, ours, theirs):
    """Ends the benchmark when what was timed has not learnt what the reference has."""
    fell, expected = base.loss - ours.loss, base.loss - theirs.loss
    if not fell > 0.75 * expected > 0 or ours.ndcg < base.ndcg:
        sys.exit(
            f"bench: {work}: the loss of the pairs fell by {fell:.4f}, sentence-transformers' by {expected:.4f}; NDCG@10"
            f" {base.ndcg:.4f}, then {ours.ndcg:.4f} and {theirs.ndcg:.4f}: what was timed has not learnt, so it has no speed"
        )


def write_pairs(options, path):
    """The pairs as a shard, and as queries, documents and judgments."""
    run([f"{options.bin}/pairs2shards", "--model", options.model, "--near-duplicate", "1", path, "-o", options.shard])
    with open(path, encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    for role, column in (("query", "anchor"), ("document", "positive")):
        ids = {text: f"{role}{number}" for number, text in enumerate(dict.fromkeys(pair[column] for pair in pairs))}
        records = (json.dumps({"_id": id, "text": text}) for text, id in ids.items())
        pathlib.Path(options.work, f"{role}.jsonl").write_text("\n".join(records), encoding="utf-8")
        for pair in pairs:
            pair[role] = ids[pair[column]]
    judged = "".join(f"{pair['query']} 0 {pair['document']} 1\n" for pair in pairs)
    pathlib.Path(options.work, "qrels.tsv").write_text(judged, encoding="utf-8")


def reference(options, work, path, *flags):
    script = str(pathlib.Path(__file__).with_name("bench_reference.py"))
    command = [options.python, script, work, options.model, path, "--threads", str(options.threads), *flags]
    out, _, wall, memory = run(command)
    measured = json.loads(out.splitlines()[-1])
    return measured["tokens"] / measured["seconds"], wall, memory


def onnx(options, work, *flags):
    """What bench_onnx.py says; its packages are laid over those of the environment."""
    os.environ["PYTHONPATH"] = options.readers
    script = str(pathlib.Path(__file__).with_name("bench_onnx.py"))
    out, _, wall, memory = run([options.python, script, work, "--threads", str(options.threads), *flags])
    del os.environ["PYTHONPATH"]
    return json.loads(out), wall, memory


def fastembed(options, path):
    flags = ["--model", options.model, "--input", path, "--st2onnx", f"{options.bin}/st2onnx"]
    measured, wall, memory = onnx(options, "fastembed", *flags)
    return measured["tokens"] / measured["seconds"], wall, memory


def operations_a_token(model, length):
    """Of all products of matrices: linear layers, and attention in a text of `length` tokens."""
    config = json.loads(pathlib.Path(model, "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return config["num_hidden_layers"] * 2 * (4 * hidden * hidden + 2 * hidden * inner + 2 * hidden * length)


def head(source, target, lines):
    with open(source, encoding="utf-8") as records:
        target.write_text("".join(record for record, _ in zip(records, range(lines))), encoding="utf-8")
    return str(target)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", required=True, help="folder of the filters")
parser.add_argument("--python", required=True, help="Python that has sentence-transformers")
parser.add_argument("--readers", required=True, help="its packages with fastembed and onnx")
parser.add_argument("--model", required=True)
parser.add_argument("--texts", required=True, help="documents JSONL for embed")
parser.add_argument("--pairs", required=True, help="pairs JSONL for mnrl-train")
parser.add_argument("--count", type=int, default=96, help="number of pairs; a batch has 32")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=os.cpu_count())
options = parser.parse_args()
lengths = []  # tokens of a text
overheads = []  # seconds of mnrl-train outside its steps: start, loading, saving
works = {
    f"embed, {precision}": (
        lambda path, precision=precision: ours_embed(options, path, precision),
        lambda path: reference(options, "embed", path),
    )
    for precision in ("fp32", "int8")
}
works["embed, fastembed"] = (lambda path: ours_embed(options, path, "fp32"), lambda path: fastembed(options, path))
# At these rates three steps show in the loss; what a step costs does not depend on them.
TRAININGS = {
    "train, fp32": ["--precision", "fp32", "--learning-rate", "1e-4"],
    "train, bf16": ["--precision", "bf16", "--learning-rate", "1e-4"],
    "train, LoRA": ["--precision", "fp32", "--learning-rate", "2e-3", "--lora", "r=16,alpha=32,targets=query,value"],
}
for work, flags in TRAININGS.items():
    works[work] = (
        lambda path, work=work, flags=flags: ours_train(options, f"{options.work}/ours", *flags),
        lambda path, work=work, flags=flags: reference(options, "train", path, *flags, "--out", f"{options.work}/theirs"),
    )

with tempfile.TemporaryDirectory() as folder:
    options.work, options.shard = folder, f"{folder}/shard.safetensors"
    texts = head(options.texts, pathlib.Path(folder, "texts.jsonl"), 300)
    pairs = head(options.pairs, pathlib.Path(folder, "pairs.jsonl"), options.count)
    write_pairs(options, pairs)
    base = Fit.of(options, options.model)
    rows, learnt = [], {}
    for work, (ours, theirs) in works.items():
        path = pairs if work in TRAININGS else texts
        results = [(ours(path), theirs(path)) for _ in range(options.rounds)]
        if work in TRAININGS:
            # The reference writes tokenizer.json in a form of its own; the shard belongs to the one of the base.
            shutil.copy(pathlib.Path(options.model, "tokenizer.json"), f"{folder}/theirs")
            learnt[work] = [Fit.of(options, f"{folder}/{side}") for side in ("ours", "theirs")]
            check_learnt(work, base, *learnt[work])
        speed = [statistics.median(side[0] for side in sides) for sides in zip(*results)]
        ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in results)
        wall = statistics.median(theirs[1] / mine[1] for mine, theirs in results)
        if work == "embed, fp32":
            # In turns: the machine's speed changes from minute to minute.
            turns = [(ours(path)[0], onnx(options, "gemm")[0]["gflops"]) for _ in range(options.rounds)]
        rows.append((work, speed, ratio, wall, [max(side[2] for side in sides) for sides in zip(*results)]))

print(f"{options.threads} threads, median of {options.rounds} rounds; sentence-transformers, or fastembed, on the right")
print(f"{'':17}{'tokens/s':>20}{'ratio':>8}{'whole process':>15}{'peak memory, MB':>18}")
for work, (mine, theirs), ratio, wall, (mine_mb, theirs_mb) in rows:
    print(f"{work:17}{mine:>10,.0f} {theirs:>9,.0f}{ratio:>7.2f}x{wall:>14.2f}x{mine_mb:>10,.0f} {theirs_mb:>7,.0f}")
billions = operations_a_token(options.model, statistics.mean(lengths)) / 1e9
share = statistics.median(mine * billions / bare for mine, bare in turns)
mine, bare = (statistics.median(side) for side in zip(*turns))
print(f"embed, fp32: products of {mine * billions:,.0f} GFLOP/s, {share:.0%} of ONNX Runtime's MatMul alone ({bare:,.0f})")
print(f"mnrl-train outside its steps (start, load, save): {statistics.median(overheads):.1f} s")
print("loss and NDCG@10 of the pairs before the training and after it, sentence-transformers on the right")
for work, sides in learnt.items():
    losses, ndcgs = ("  ".join(f"{getattr(side, name):.4f}" for side in sides) for name in ("loss", "ndcg"))
    print(f"{work:17}{base.loss:>10.4f} -> {losses}{base.ndcg:>12.4f} -> {ndcgs}")
