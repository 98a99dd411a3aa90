#!/usr/bin/env python3
"""Makes a retrieval test set out of real text that every Rust toolchain has: its error index.

Writes, in BEIR's form, corpus.jsonl (the output of `rustc --explain` for each error code), queries.jsonl (messages of the
compiler) and qrels.tsv (which explanation belongs to which message). Nobody has to label anything: most explanations
show code that does not compile, and rustc prints its message together with the code.

The toolchain is $RUSTC, or `rustc`. The same toolchain gives the same bytes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RUSTC = os.environ.get("RUSTC") or "rustc"
CODES = [f"E{number:04}" for number in range(1, 1000)]
CODE_BLOCK = re.compile(r"^```.*\n((?:.*\n)*?)```", re.MULTILINE)

# Lines that rustdoc leaves outside the function that it wraps around an example.
CRATE_LEVEL = re.compile(r"^(?:#!\[.*\]|(?:#\[.*\]\s*)*extern crate .*;.*)\n", re.MULTILINE)


def explanation(code):
    done = subprocess.run([RUSTC, "--explain", code], capture_output=True, encoding="utf-8")
    return done.stdout.strip() if done.returncode == 0 else ""


def examples(text):
    """The code blocks of an explanation.

    `rustc --explain` prints neither the info strings that say which examples fail nor the lines that rustdoc hides, so
    all examples are taken, and the compiler says which of them fail.
    """
    return CODE_BLOCK.findall(text + "\n")


def program(example):
    """The example as rustdoc would compile it."""
    if re.search(r"\bfn\s+main\b", example):
        return example
    return "".join(CRATE_LEVEL.findall(example)) + "fn main() {\n" + CRATE_LEVEL.sub("", example) + "}\n"


def messages(code, example):
    """The messages of rustc about the example that have this code."""
    # In a new directory, because some examples name files and a compiler that crashes leaves a report.
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [RUSTC, "--error-format=json", "--emit=metadata", "--crate-name=example", "--crate-type=bin"]
            + ["--edition=2021", "-"],
            input=program(example),
            capture_output=True,
            encoding="utf-8",
            cwd=directory,
        )
    diagnostics = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return [each["message"] for each in diagnostics if (each.get("code") or {}).get("code") == code]


def words(text):
    """The text without case, punctuation, line breaks and comment marks, so that quotations are found."""
    return " " + " ".join(re.findall(r"\w+", text.lower())) + " "


def held_out(found, documents):
    """The messages that no document quotes.

    About a quarter of the messages are quoted (105 of 415 with rustc 1.95, 57 of them letter by letter), mostly in a
    comment of the example that causes them. They would make the measurement dishonest: training queries are made from
    these documents, so a quoted message can become a training query together with its answer, whether a generator copies
    it or a language model reads it. They are also the easy ones: all-MiniLM-L6-v2 finds them with an NDCG@10 of 0.84, and
    the others with 0.71. The messages that remain are not independent of the documents either: a message names what its
    example names (`Foo`), and the example is in the document to be found. That helps every model alike, before and after
    the training.
    """
    corpus = "\n".join(map(words, documents.values()))
    return {message: codes for message, codes in found.items() if words(message) not in corpus}


def queries(documents, workers):
    """Each message with the codes that it belongs to, in the order of the documents.

    A few messages belong to several codes ("type annotations needed": E0282, E0283, E0284). Each of their explanations
    answers the message, so all are relevant. To keep only one of them would count the others as errors; to drop the
    message would leave out the hard cases.
    """
    jobs = [(code, example) for code, text in documents.items() for example in examples(text)]
    found = {}
    for (code, _), said in zip(jobs, workers.map(lambda job: messages(*job), jobs)):
        for message in said:
            found.setdefault(message, {})[code] = None  # a dict keeps the order, a set does not
    return found


def write(path, lines):
    """Writes a file as a whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    temporary.replace(path)


def record(identifier, text):
    return json.dumps({"_id": identifier, "text": text}, ensure_ascii=False)


def write_all(directory, documents, found):
    numbers = {}
    texts, judgments = [], ["query-id\tcorpus-id\tscore"]
    for message, codes in found.items():
        first = next(iter(codes))
        numbers[first] = numbers.get(first, 0) + 1
        query = f"{first}-{numbers[first]}"
        texts.append(record(query, message))
        judgments += [f"{query}\t{code}\t1" for code in codes]
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "corpus.jsonl", (record(code, text) for code, text in documents.items()))
    write(directory / "queries.jsonl", texts)
    write(directory / "qrels.tsv", judgments)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        documents = {code: text for code, text in zip(CODES, workers.map(explanation, CODES)) if text}
        found = queries(documents, workers)
    kept = held_out(found, documents)
    if not kept:
        sys.exit(f"error_index: no queries: {RUSTC} explains {len(documents)} errors and gave {len(found)} messages")
    write_all(directory, documents, kept)
    answers = {code for codes in kept.values() for code in codes}
    print(f"error_index: {len(documents)} documents, {len(found)} messages; "
          f"{len(found) - len(kept)} left out because a document quotes them; "
          f"{len(kept)} queries about {len(answers)} documents", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"error_index: {error.filename}: not found; is Rust installed?")
