#!/usr/bin/env python3
"""Times embtune beside sentence-transformers and fastembed: the same texts, model, threads and length, in turns; medians
and ratios.

The machine may be busy, so the two run one after the other in every round and only their ratio is to be trusted.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time


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


def ours_train(options, path, precision):
    with tempfile.TemporaryDirectory() as folder:
        shard = f"{folder}/shard.safetensors"
        run([f"{options.bin}/pairs2shards", "--model", options.model, path, "-o", shard])
        command = [f"{options.bin}/mnrl-train", "--model", options.model, "--out", f"{folder}/model", "--epochs", "1"]
        command += ["--warmup-steps", "0", "--device", "cpu", "--threads", str(options.threads), "--precision", precision]
        out, _, wall, memory = run([*command, shard])
    steps = [json.loads(line) for line in out.splitlines()]
    seconds = sum(step["tokens"] / step["tokens_per_sec"] for step in steps)
    overheads.append(wall - seconds)
    return sum(step["tokens"] for step in steps) / seconds, wall, memory


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
for precision in ("fp32", "bf16"):
    works[f"train, {precision}"] = (
        lambda path, precision=precision: ours_train(options, path, precision),
        lambda path, precision=precision: reference(options, "train", path, "--precision", precision),
    )

with tempfile.TemporaryDirectory() as folder:
    texts = head(options.texts, pathlib.Path(folder, "texts.jsonl"), 300)
    pairs = head(options.pairs, pathlib.Path(folder, "pairs.jsonl"), options.count)
    rows = []
    for work, (ours, theirs) in works.items():
        path = texts if work.startswith("embed") else pairs
        results = [(ours(path), theirs(path)) for _ in range(options.rounds)]
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
