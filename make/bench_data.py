#!/usr/bin/env python3
"""Times the filters that make training data.

pairs2shards, from reading its input to the shard on disk, is timed beside the tokenizers crate alone, which tokenises
the same texts from memory. The two alternate, and the median of their ratios counts. mine-negatives is timed on random
vectors: its search, the whole run, and its peak of memory, mapped files excluded.
"""
import json
import pathlib
import re
import statistics
import tempfile

import numpy
from safetensors.numpy import save_file

import measure

MAX_LENGTH = 256


def write_texts(options, pairs, texts):
    """Writes pairs of real text, and the same texts line by line: the first words of a document, and the document."""
    documents = [json.loads(line) for line in options.texts.read_text(encoding="utf-8").splitlines()]
    with open(pairs, "w", encoding="utf-8") as pair_lines, open(texts, "w", encoding="utf-8") as text_lines:
        for number in range(options.pairs):
            words = documents[number % len(documents)]["text"].split()
            # Each round over the documents takes other words of them, so that no pair is dropped as a duplicate.
            start = 40 * (number // len(documents)) % max(1, len(words) - 60)
            anchor, positive = " ".join(words[start : start + 12]) + f" {number}", " ".join(words[start : start + 180])
            print(json.dumps({"anchor": anchor, "positive": positive, "positive_id": f"d{number}"}), file=pair_lines)
            print(anchor, positive, sep="\n", file=text_lines)


def time_tokens(options, folder):
    pairs, texts = folder / "pairs.jsonl", folder / "texts"
    write_texts(options, pairs, texts)
    ours = [options.bin / "pairs2shards", "--model", options.model, "--near-duplicate", 1, "--threads", options.threads]
    ours += ["--query-max-length", MAX_LENGTH, "--document-max-length", MAX_LENGTH, pairs, "-o", folder / "shard.safetensors"]
    bare = [options.bin / "examples/bare", options.model / "tokenizer.json", MAX_LENGTH, texts]
    ratios, rates = [], []
    for _ in range(options.rounds):
        mine = measure.run(*ours)
        # It prints how long it took without reading the texts.
        count, ids, seconds = measure.run(*bare, env={"RAYON_NUM_THREADS": str(options.threads)}).stdout.split()
        rates.append((int(ids) / mine.seconds, int(ids) / float(seconds), mine.own_mb))
        ratios.append(float(seconds) / mine.seconds)
    written = int(re.search(r"(\d+) written", mine.stderr)[1])
    rate, bare_rate, memory = (statistics.median(column) for column in zip(*rates))
    print(f"pairs2shards: {written} of {options.pairs} pairs ({count} texts, {ids} tokens), {options.threads} threads")
    print(f"  tokens/s {rate:,.0f}, the crate alone {bare_rate:,.0f}; ratio {statistics.median(ratios):.2f}; {memory:.0f} MB")


def write_vectors(path, ids, vectors):
    data = "".join(ids).encode()
    offsets = numpy.cumsum([0, *(len(id) for id in ids)])
    tensors = {"embeddings": vectors, "ids.offsets": offsets.astype("<i8"), "ids.bytes": numpy.frombuffer(data, "u1")}
    save_file(tensors, path)


def time_search(options, folder):
    draw = numpy.random.default_rng(1)
    documents = [f"d{n}" for n in range(options.documents)]
    queries = [f"q{n}" for n in range(options.queries)]
    rows = draw.standard_normal((options.documents, options.dimension), dtype="f4")
    positives = draw.integers(0, options.documents, options.queries)
    # A query is its document with noise: most positives rank high, some do not.
    near = rows[positives] + 3 * draw.standard_normal((options.queries, options.dimension), dtype="f4")
    write_vectors(folder / "c", documents, rows)
    write_vectors(folder / "q", queries, near)
    with open(folder / "corpus.jsonl", "w") as file:
        file.writelines(f'{{"_id": "{id}", "text": "{id} is what this document is about, and {hash(id)}"}}\n' for id in documents)
    with open(folder / "pairs.jsonl", "w") as file:
        for query, positive in zip(queries, positives):
            pair = {"anchor": query, "positive": "its answer", "anchor_id": query, "positive_id": f"d{positive}"}
            print(json.dumps(pair), file=file)
    command = [options.bin / "mine-negatives", "--device", "cpu", "--threads", options.threads, "--queries", folder / "q"]
    command += ["--corpus", folder / "c", "--texts", folder / "corpus.jsonl"]
    for flags in ([], ["--relative-margin", "0.05", "--exact-ranks"]):
        ran = measure.run(*command, *flags, folder / "pairs.jsonl", "-o", folder / "mined.jsonl")
        searched = re.search(r"mine-negatives: (.* queries searched .*)", ran.stderr)[1]
        print(f"mine-negatives {' '.join(flags)}: {searched}; {ran.seconds:.1f} s in all, {ran.own_mb:.0f} MB of memory")


def main():
    parser = measure.parser(__doc__, "bin", "model", "texts", "rounds", "threads")
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--only", choices=["tokens", "search"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.only != "search":
            time_tokens(options, pathlib.Path(name))
        if options.only != "tokens":
            time_search(options, pathlib.Path(name))


if __name__ == "__main__":
    main()
