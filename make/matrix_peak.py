#!/usr/bin/env python3
"""Measures how many bf16 operations a second a device does when it multiplies two square matrices.

Prints one JSON object with the TFLOP/s, by the median time of the products. The numbers are random: with zeros a GPU
draws less power and computes faster.
"""
import argparse
import json
import statistics
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=8192, help="rows and columns of the matrices")
    parser.add_argument("--products", type=int, default=100)
    options = parser.parse_args()
    shape = (options.size, options.size)
    a, b = (torch.randn(shape, device=options.device, dtype=torch.bfloat16) for _ in range(2))
    c = torch.empty_like(a)

    def seconds():
        start = time.perf_counter()
        torch.mm(a, b, out=c)
        if c.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for _ in range(max(3, options.products // 10)):
        seconds()
    median = statistics.median(seconds() for _ in range(options.products))
    print(json.dumps({"tflops": 2 * options.size**3 / median / 1e12}))


if __name__ == "__main__":
    main()
