#!/usr/bin/env python3
"""Measures how many bf16 operations a second a device does in a product of two square matrices.

Prints one JSON object: TFLOP/s, by the median time of the products. The numbers are random, because zeros draw less
power, and a GPU computes faster with them.
"""
import argparse
import json
import statistics
import time

import torch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", default="cuda")
parser.add_argument("--size", type=int, default=8192)
parser.add_argument("--products", type=int, default=100)
arguments = parser.parse_args()


def finish():
    if torch.device(arguments.device).type == "cuda":
        torch.cuda.synchronize()


def seconds():
    start = time.perf_counter()
    torch.mm(a, b, out=c)
    finish()
    return time.perf_counter() - start


shape = (arguments.size, arguments.size)
a, b = (torch.randn(shape, device=arguments.device, dtype=torch.bfloat16) for _ in range(2))
c = torch.empty_like(a)
for _ in range(max(3, arguments.products // 10)):
    seconds()
median = statistics.median(seconds() for _ in range(arguments.products))
print(json.dumps({"tflops": 2 * arguments.size**3 / median / 1e12}))
