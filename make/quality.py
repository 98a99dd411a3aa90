#!/usr/bin/env python3
"""Trains embtune and sentence-transformers with the same settings on a retrieval set, and compares what they reach.

The set is a folder in BEIR's layout with qrels/train.tsv and qrels/test.tsv. Prints NDCG@10 of the base model and of
every seed on both sides, then ir-eval's comparison of the first seed with the base model. With --negatives, embtune is
also trained with negatives that mine-negatives finds by the base model, among documents that no test query is judged by.
"""
import argparse
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", required=True, help="folder of the filters")
parser.add_argument("--python", help="Python that has sentence-transformers; without it only embtune is trained")
parser.add_argument("--model", required=True)
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--learning-rate", default="5e-5")
parser.add_argument("--warmup-steps", type=int, default=10)
parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--train-flags", default="", help="more flags of mnrl-train, such as '--lora r=16'")
parser.add_argument("--negatives", type=int, default=0, help="negatives a pair, mined by the base model")
parser.add_argument("--mine-flags", default="--relative-margin 0.05", help="flags of mine-negatives")
parser.add_argument("--also", type=pathlib.Path, action="append", default=[], help="another set, to see what is forgotten")
options = parser.parse_args()


def run(name, *arguments):
    command = [str(argument) for argument in (name, *arguments)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode not in (0, 1):
        sys.exit(f"quality: {' '.join(command)} failed:\n{process.stderr}")
    return process.stdout


def tool(name, *arguments):
    return run(f"{options.bin}/{name}", *arguments)


def records(path):
    with open(path, encoding="utf-8") as lines:
        return {record["_id"]: record for record in map(json.loads, lines)}


def judged(path):
    with open(path, encoding="utf-8") as lines:
        rows = [line.split("\t") for line in lines][1:]
    return [(query, document) for query, document, score, *_ in rows if float(score) > 0]


def write_pairs(path):
    documents, queries = records(options.data / "corpus.jsonl"), records(options.data / "queries.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for query, document in judged(options.data / "qrels/train.tsv"):
            text = " ".join(filter(None, (documents[document].get("title"), documents[document]["text"])))
            pair = {"anchor": queries[query]["text"], "positive": text, "anchor_id": query, "positive_id": document}
            print(json.dumps(pair), file=out)


def mine(folder, base):
    """Gives the pairs that write_pairs wrote their negatives."""
    with open(folder / "pairs.jsonl", encoding="utf-8") as lines, open(folder / "anchors.jsonl", "w", encoding="utf-8") as out:
        queries = {pair["anchor_id"]: pair["anchor"] for pair in map(json.loads, lines)}
        out.writelines(json.dumps({"_id": id, "text": text}) + "\n" for id, text in queries.items())
    documents = sorted({document for _, document in judged(options.data / "qrels/test.tsv")})
    (folder / "test-documents").write_text("\n".join(documents), encoding="utf-8")
    for role, texts in (("query", folder / "anchors.jsonl"), ("document", options.data / "corpus.jsonl")):
        tool("embed", "--model", base, "--role", role, "--threads", options.threads, texts, "-o", folder / f"mine.{role}")
    files = ["--queries", folder / "mine.query", "--corpus", folder / "mine.document", "--texts", options.data / "corpus.jsonl"]
    flags = ["-n", options.negatives, "--exclude-documents", folder / "test-documents", *options.mine_flags.split()]
    tool("mine-negatives", *files, *flags, folder / "pairs.jsonl", "-o", folder / "mined.jsonl")
    every = ["--near-duplicate", 1]
    tool("pairs2shards", "--model", options.model, *every, folder / "mined.jsonl", "-o", folder / "mined.safetensors")


@functools.cache
def vectors(folder, model, data):
    """Embeds the queries and documents of a set; gives ir-eval's operand."""
    files = [folder / f"{data.name}.{model.name}.{role}.safetensors" for role in ("query", "document")]
    for role, name, file in zip(("query", "document"), ("queries", "corpus"), files):
        tool("embed", "--model", model, "--role", role, "--threads", options.threads, data / f"{name}.jsonl", "-o", file)
    return f"{files[0]},{files[1]}"


def ndcg(folder, model, data):
    system = f"x={vectors(folder, model, data)}"
    report = tool("ir-eval", "--qrels", data / "qrels/test.tsv", "--metrics", "ndcg@10", "--format", "json", system)
    return json.loads(report)["systems"][0]["metrics"]["ndcg@10"]


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_pairs(folder / "pairs.jsonl")
    # What sentence-transformers trains on, too.
    every = ["--near-duplicate", 1]
    tool("pairs2shards", "--model", options.model, *every, folder / "pairs.jsonl", "-o", folder / "shard.safetensors")
    base = folder / "base"
    base.symlink_to(pathlib.Path(options.model).resolve())
    sets = [options.data, *options.also]
    print("set", "system", "seed", "NDCG@10", sep="\t")
    for data in sets:
        print(data.name, "base", "-", f"{ndcg(folder, base, data):.4f}", sep="\t", flush=True)
    shared = ["--epochs", options.epochs, "--batch-size", options.batch_size, "--learning-rate", options.learning_rate]
    shared += ["--warmup-steps", options.warmup_steps, "--precision", options.precision, "--threads", options.threads]
    if options.negatives:
        mine(folder, base)
    reached = {}
    for seed in range(1, options.seeds + 1):
        ours, theirs = folder / f"embtune-{seed}", folder / f"reference-{seed}"
        flags = ["--seed", seed, "--no-duplicates", "--device", "cpu", *options.train_flags.split()]
        tool("mnrl-train", "--model", options.model, "--out", ours, *shared, *flags, folder / "shard.safetensors")
        if options.python:
            script = pathlib.Path(__file__).with_name("bench_reference.py")
            flags = ["--seed", seed, "--no-duplicates", "--out", theirs]
            run(options.python, script, "train", options.model, folder / "pairs.jsonl", *shared, *flags)
        mined = folder / f"mined-{seed}"
        if options.negatives:
            flags = ["--seed", seed, "--no-duplicates", "--device", "cpu", *options.train_flags.split()]
            tool("mnrl-train", "--model", options.model, "--out", mined, *shared, *flags, folder / "mined.safetensors")
        for system, model in (("embtune", ours), ("embtune, mined", mined), ("sentence-transformers", theirs)):
            for data in sets if model.exists() else []:
                value = ndcg(folder, model, data)
                reached.setdefault((data.name, system), []).append(value)
                print(data.name, system, seed, f"{value:.4f}", sep="\t", flush=True)
    for (data, system), values in reached.items():
        print(data, system, "mean", f"{statistics.mean(values):.4f}", sep="\t")
    systems = [("base", base), ("tuned", folder / "embtune-1")]
    systems += [("mined", folder / "mined-1")] if options.negatives else []
    operands = [f"{system}={vectors(folder, model, options.data)}" for system, model in systems]
    print(tool("ir-eval", "--qrels", options.data / "qrels/test.tsv", *operands))
