#!/usr/bin/env python3
"""Makes the figures that our smaller types of vectors must equal.

    python3 -m venv venv && venv/bin/pip install sentence-transformers==6.0.1 && venv/bin/python make.py

Writes expected.tsv beside itself, a vector a line: its elements, sentence-transformers' ubinary, int8 and its scale.
sentence-transformers' own int8 has ranges for each dimension, taken from the data; ours has one scale for each vector and
is made here with NumPy, as the manual page says it.
"""

import pathlib

import numpy
from sentence_transformers.util.quantization import quantize_embeddings


def main():
    rng = numpy.random.default_rng(5)
    vectors = rng.standard_normal((12, 24)).astype(numpy.float32)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1] = 0
    vectors[2, ::3] = 0
    vectors[3] = -numpy.abs(vectors[3])
    vectors[4] = numpy.round(vectors[4] * 127 * 2) / 2  # halves
    vectors[4, 0] = 127
    vectors[5] *= numpy.float32(1e-30)
    bits = quantize_embeddings(vectors, precision="ubinary")
    scales = numpy.abs(vectors).max(axis=1) / numpy.float32(127)
    with numpy.errstate(invalid="ignore"):
        bytes = numpy.where(scales[:, None] > 0, numpy.rint(vectors / scales[:, None]), 0).astype(numpy.int8)
    columns = zip(vectors, bits, bytes, scales[:, None])
    lines = ("\t".join(" ".join(str(number) for number in column) for column in row) + "\n" for row in columns)
    pathlib.Path(__file__).with_name("expected.tsv").write_text("".join(lines))


main()
