#!/usr/bin/env python3
"""Times the filters that make training data.

pairs2shards, from reading to the shard on disk, beside the tokenizers crate alone, which tokenises the same texts from
memory: the two run in turns, and the median of their ratio counts. mine-negatives on random vectors: the time of its
search, of the whole, and the most memory that it had for itself (the vectors are mapped and can be read again).
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
import threading
import time

import numpy
from safetensors.numpy import save_file

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the filters, with examples/bare")
parser.add_argument("--model", type=pathlib.Path, required=True)
parser.add_argument("--texts", required=True, help="documents JSONL")
parser.add_argument("--pairs", type=int, default=60_000)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--documents", type=int, default=1_000_000)
parser.add_argument("--queries", type=int, default=10_000)
parser.add_argument("--elements", type=int, default=384)
parser.add_argument("--only", choices=["tokens", "search"])
parser.add_argument("--threads", type=int, default=os.cpu_count())
options = parser.parse_args()


def run(*command, **environment):
    """Gives stdout, stderr, seconds and the most memory of its own, in MB."""
    command = [str(part) for part in command]
    start = time.perf_counter()
    environment = {**os.environ, **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    most = 0

    def watch():
        nonlocal most
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                most = max(most, int(re.search(r"RssAnon:\s+(\d+)", status)[1]))
            except (OSError, TypeError):
                break
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, error = process.communicate()
    seconds = time.perf_counter() - start
    watcher.join()
    if process.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{error}")
    return out, error, seconds, most / 1024


def tokens(folder):
    """Pairs whose texts are real and whose anchors differ: the first words of a document, and the document."""
    with open(options.texts, encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    pairs, texts = folder / "pairs.jsonl", folder / "texts"
    with open(pairs, "w", encoding="utf-8") as pair_lines, open(texts, "w", encoding="utf-8") as text_lines:
        for number in range(options.pairs):
            words = documents[number % len(documents)]["text"].split()
            # Another part of the document in every round, so that no pair is dropped.
            start = 40 * (number // len(documents)) % max(1, len(words) - 60)
            anchor, positive = " ".join(words[start : start + 12]) + f" {number}", " ".join(words[start : start + 180])
            print(json.dumps({"anchor": anchor, "positive": positive, "positive_id": f"d{number}"}), file=pair_lines)
            print(anchor, positive, sep="\n", file=text_lines)
    length = 256
    lengths = ["--query-max-length", length, "--document-max-length", length, "--near-duplicate", 1]
    ratios, rates = [], []
    for _ in range(options.rounds):
        command = [options.bin / "pairs2shards", "--model", options.model, *lengths, "--threads", options.threads]
        _, notice, ours, memory = run(*command, pairs, "-o", folder / "shard.safetensors")
        bare = [options.bin / "examples/bare", options.model / "tokenizer.json", length, texts]
        count, ids, theirs = run(*bare, RAYON_NUM_THREADS=str(options.threads))[0].split()
        written = int(re.search(r"(\d+) written", notice)[1])
        rates.append((int(ids) / ours, int(ids) / float(theirs), memory))
        ratios.append(float(theirs) / ours)
    mine, bare, memory = (statistics.median(column) for column in zip(*rates))
    print(f"pairs2shards: {written} of {options.pairs} pairs ({count} texts, {ids} tokens), {options.threads} threads")
    print(f"  tokens/s {mine:,.0f}, the crate alone {bare:,.0f}; ratio {statistics.median(ratios):.2f}; {memory:.0f} MB")


def write_vectors(path, role, ids, vectors):
    data = "".join(ids).encode()
    offsets = numpy.cumsum([0, *(len(id) for id in ids)])
    tensors = {"embeddings": vectors, "ids.offsets": offsets.astype("<i8"), "ids.bytes": numpy.frombuffer(data, "u1")}
    save_file(tensors, path)


def search(folder):
    draw = numpy.random.default_rng(1)
    documents = [f"d{n}" for n in range(options.documents)]
    queries = [f"q{n}" for n in range(options.queries)]
    rows = draw.standard_normal((options.documents, options.elements), dtype="f4")
    positives = draw.integers(0, options.documents, options.queries)
    # A query is its document with noise: most positives rank high, some do not.
    near = rows[positives] + 3 * draw.standard_normal((options.queries, options.elements), dtype="f4")
    write_vectors(folder / "c", "document", documents, rows)
    write_vectors(folder / "q", "query", queries, near)
    with open(folder / "corpus.jsonl", "w") as file:
        file.writelines(f'{{"_id": "{id}", "text": "{id} is what this document is about, and {hash(id)}"}}\n' for id in documents)
    with open(folder / "pairs.jsonl", "w") as file:
        for query, positive in zip(queries, positives):
            print(json.dumps({"anchor": query, "positive": "its answer", "anchor_id": query, "positive_id": f"d{positive}"}), file=file)
    command = [options.bin / "mine-negatives", "--device", "cpu", "--threads", options.threads, "--queries", folder / "q"]
    command += ["--corpus", folder / "c", "--texts", folder / "corpus.jsonl"]
    for flags in ([], ["--relative-margin", "0.05", "--exact-ranks"]):
        _, notice, seconds, memory = run(*command, *flags, folder / "pairs.jsonl", "-o", folder / "mined.jsonl")
        said = re.search(r"mine-negatives: (.* queries searched .*)", notice)[1]
        print(f"mine-negatives {' '.join(flags)}: {said}; {seconds:.1f} s in all, {memory:.0f} MB of memory")


with tempfile.TemporaryDirectory() as name:
    if options.only != "search":
        tokens(pathlib.Path(name))
    if options.only != "tokens":
        search(pathlib.Path(name))
