#!/usr/bin/env python3
"""Compares embed with sentence-transformers on a model directory, for `make parity`.

Both encode the texts of tests/fixtures/parity/minilm.json. Exit status 1 when the cosine of two vectors is too low.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import measure

FIXTURES = Path(__file__).resolve().parent.parent / "tests/fixtures/parity"
MIN_COSINE = 0.99999


def load_texts():
    """The texts for which all-MiniLM-L6-v2's reference figures are committed."""
    return json.loads((FIXTURES / "minilm.json").read_text(encoding="utf-8"))["texts"]


def embed(binary, directory, texts):
    lines = [json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(texts)]
    done = subprocess.run(
        [binary, "--model", directory, "--format", "jsonl"],
        input="".join(line + "\n" for line in lines),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    # Not splitlines(), which would also break a text at U+2028 and the like.
    records = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [record["_id"] for record in records] == [str(i) for i in range(len(texts))]
    assert [record["text"] for record in records] == texts
    return np.array([record["embedding"] for record in records], dtype=np.float64)


def cosines(ours, theirs):
    """The cosine of each vector and its counterpart."""
    ours, theirs = (np.asarray(vectors, dtype=np.float64) for vectors in (ours, theirs))
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours * theirs).sum(axis=1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1))


def main():
    options = measure.parser(__doc__, "bin", "model").parse_args()
    model = SentenceTransformer(str(options.model), device="cpu", model_kwargs={"dtype": torch.float32}).eval()
    texts = load_texts()
    theirs = model.encode(texts, prompt="", show_progress_bar=False)
    ours = embed(options.bin / "embed", options.model, texts)
    found = cosines(ours, theirs)
    for text, cosine in zip(texts, found):
        print(f"{cosine:.8f}  {text[:50]!r}")
    print(f"{found.min():.8f}  lowest cosine, largest difference {abs(ours - theirs.astype(np.float64)).max():.2e}")
    sys.exit(not found.min() >= MIN_COSINE)


if __name__ == "__main__":
    main()
