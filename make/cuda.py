#!/usr/bin/env python3
"""Checks and times every CUDA path against the CPU's, on any machine with an NVIDIA GPU; prints a short table last.

Needs the built filters, `make deps CUDA=1` (or the same libraries in LD_LIBRARY_PATH), a model directory, and documents
as JSON Lines. Exit status 1 when a check fails; every check runs.
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

# fp32 on both sides, TF32 off: only the order of the sums differs.
SMALLEST_COSINE = 0.99999
LARGEST_LOSS_DIFFERENCE = 1e-3

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("what", choices=["check", "bench"])
parser.add_argument("--bin", required=True, help="folder of the filters")
parser.add_argument("--model", required=True)
parser.add_argument("--corpus", required=True, help="documents as JSON Lines")
options = parser.parse_args()
rows = []


class Failed(Exception):
    pass


def run(name, *arguments):
    command = [f"{options.bin}/{name}", *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise Failed(f"{name} ended with {process.returncode}: {process.stderr.strip()}")
    return process.stdout, process.stderr


def check(title):
    """Runs a function that gives (fine, figure), and keeps its row."""

    def decorate(function):
        try:
            fine, figure = function()
        except Failed as failure:
            fine, figure = False, str(failure)
        rows.append(("ok" if fine else "FAILED", title, figure))

    return decorate


def vectors(device):
    out, _ = run("embed", "--model", options.model, "--device", device, "--format", "jsonl", options.corpus)
    return [json.loads(line)["embedding"] for line in out.splitlines()]


def cosine(a, b):
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def shard(folder):
    run("docs2queries", "--generator", "extractive", options.corpus, "-o", folder / "pairs.jsonl")
    run("pairs2shards", "--model", options.model, folder / "pairs.jsonl", "-o", folder / "shard.safetensors")
    return folder / "shard.safetensors"


def train(device, folder, *flags):
    arguments = ["--model", options.model, "--device", device, "--out", folder / device, "--overwrite", "--warmup-steps", 2]
    out, _ = run("mnrl-train", *arguments, *flags, shard(folder))
    return [json.loads(line) for line in out.splitlines()]


def checks(folder):
    @check("embed: vectors of CUDA and CPU, lowest cosine")
    def _():
        lowest = min(map(cosine, vectors("cuda"), vectors("cpu")))
        return lowest > SMALLEST_COSINE, f"{lowest:.7f}"

    @check("mnrl-train: losses of CUDA and CPU without dropout, largest relative difference")
    def _():
        flags = ("--epochs", 1, "--batch-size", 16, "--dropout", 0)
        pairs = zip(train("cuda", folder, *flags), train("cpu", folder, *flags))
        largest = max(abs(a["loss"] - b["loss"]) / max(b["loss"], 1e-3) for a, b in pairs)
        return largest < LARGEST_LOSS_DIFFERENCE, f"{largest:.2e}"

    @check("mnrl-train: with dropout, mean loss of the last epoch is below that of the first")
    def _():
        steps = train("cuda", folder, "--epochs", 3, "--batch-size", 16, "--learning-rate", "5e-5")
        third = len(steps) // 3
        mean = lambda part: sum(step["loss"] for step in part) / len(part)
        return mean(steps[-third:]) < mean(steps[:third]), f"{mean(steps[:third]):.3f} to {mean(steps[-third:]):.3f}"

    @check("ir-eval: report of CUDA and CPU search is the same")
    def _():
        run("docs2queries", "--generator", "extractive", options.corpus, "-o", folder / "pairs.jsonl")
        split = ("--holdout", 0.9, "--holdout-dir", folder / "heldout")
        run("pairs2shards", "--model", options.model, *split, folder / "pairs.jsonl", "-o", "/dev/null")
        for role, path in (("query", folder / "heldout/queries.jsonl"), ("document", options.corpus)):
            run("embed", "--model", options.model, "--role", role, "--device", "cpu", path, "-o", folder / f"{role}.safetensors")
        system = f"base={folder}/query.safetensors,{folder}/document.safetensors"
        reports = [run("ir-eval", "--qrels", folder / "heldout/qrels.tsv", "--device", device, system)[0] for device in ("cuda", "cpu")]
        return reports[0] == reports[1], "same" if reports[0] == reports[1] else "differs"


def benches(folder):
    for device in ("cuda", "cpu"):

        @check(f"embed on {device}, tokens/s")
        def _():
            _, error = run("embed", "--model", options.model, "--device", device, "-v", "--format", "npy", options.corpus, "-o", "/dev/null")
            return True, re.search(r"([\d.]+) tokens/s$", error.strip())[1]

        @check(f"mnrl-train on {device}, batch 32, tokens/s of the later half of the steps")
        def _():
            steps = train(device, folder, "--epochs", 1)
            later = steps[len(steps) // 2 :]
            seconds = sum(step["tokens"] / step["tokens_per_sec"] for step in later)
            return True, f"{sum(step['tokens'] for step in later) / seconds:,.0f}"


with tempfile.TemporaryDirectory() as name:
    (checks if options.what == "check" else benches)(pathlib.Path(name))
for state, title, figure in rows:
    print(f"{state:7} {title}: {figure}")
sys.exit(any(state == "FAILED" for state, _, _ in rows))
