#!/usr/bin/env python3
"""Checks every CUDA path against the CPU's, or times it, on any machine with an NVIDIA GPU.

Needs the built filters, `make deps CUDA=1` (or the same libraries in LD_LIBRARY_PATH and ORT_DYLIB_PATH), a model
directory and documents as JSON Lines; the benchmarks also need a Python with sentence-transformers and torch for CUDA.
Every check runs, even after others have failed, and a table of all results is printed last. Exit status 1 when a check
fails or a benchmark misses its target.
"""
import functools
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import bench_cuda
import check_cuda
import measure

HERE = pathlib.Path(__file__).resolve().parent
# Numbers of documents and of pairs: enough for reliable figures, few enough for the CPU's side.
SIZES = {"check": (200, 192), "bench": (600, 1024)}
SMALL = (24, 96)


class Lab:
    """Runs the filters in a temporary folder, and keeps a row of the table for each check."""

    def __init__(self, options, folder):
        self.device, self.small, self.model = options.device, options.small, options.model
        self.threads, self.options, self.folder = os.cpu_count(), options, folder
        self.sizes = SMALL if options.small else SIZES[options.what]
        self.rows, self.made = [], 0

    def check(self, title):
        """Runs the decorated function at once, which returns (is_ok, figure), and keeps its row."""

        def decorate(function):
            start = time.perf_counter()
            try:
                fine, figure = function()
            except Exception as error:  # of any kind, because the other checks are to run
                print(error, file=sys.stderr)
                # The last line of a program's messages, apart from its hint, says why it failed.
                lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("hint:")]
                fine, figure = False, (lines or [repr(error)])[-1]
            row = f"{'ok' if fine else 'FAILED':7} {title}: {figure}"
            self.rows.append((fine, row))
            print(f"{row} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)

        return decorate

    def new(self, name):
        """A path that does not exist yet."""
        self.made += 1
        return self.folder / f"{self.made}-{name}"

    def filter(self, name, *arguments):
        """Runs a filter; gives its stdout and stderr."""
        return self.execute(f"{self.options.bin}/{name}", *arguments)

    def python(self, script, *arguments):
        """Runs a script of this folder; gives its stdout."""
        return self.execute(self.options.python, HERE / script, *arguments)[0]

    def execute(self, *command):
        process = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {process.stderr.strip()}")
        return process.stdout, process.stderr

    @functools.cached_property
    def corpus(self):
        return measure.head(self.options.corpus, self.new("corpus.jsonl"), self.sizes[0])

    @functools.cached_property
    def pairs(self):
        path = self.new("pairs.jsonl")
        self.filter("docs2queries", "--generator", "extractive", self.corpus, "-o", path)
        return measure.head(path, self.new("pairs.jsonl"), self.sizes[1])

    @functools.cache
    def shard(self, model, pairs, *flags):
        path = self.new("shard.safetensors")
        self.filter("pairs2shards", "--model", model, *flags, pairs, "-o", path)
        return path

    def steps(self, model, shard, *flags, device=None, out=None):
        """Runs mnrl-train; yields each step as it is reported, with the time. Closing the generator is a SIGKILL."""
        out = out or self.new("model")
        command = [f"{self.options.bin}/mnrl-train", "--model", model, "--device", device or self.device, "--out", out]
        with tempfile.TemporaryFile("w+") as error:
            command = list(map(str, [*command, *flags, shard]))
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error, text=True)
            try:
                for line in process.stdout:
                    yield json.loads(line) | {"clock": time.perf_counter()}
                if process.wait():
                    error.seek(0)
                    raise RuntimeError(f"mnrl-train ended with {process.returncode}: {error.read().strip()}")
            finally:
                process.kill()
                process.wait()
                process.stdout.close()

    @functools.cached_property
    def gpus(self):
        return 0 if self.device == "cpu" else len(self.execute("nvidia-smi", "--list-gpus")[0].splitlines())

    def start_group(self, model, shard, gpus, *flags):
        """Starts mnrl-train as a process group, with one process for each GPU that is named."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        command = [f"{self.options.bin}/mnrl-train", "--model", model, "--device", self.device, "--out", self.new("model")]
        command = list(map(str, [*command, *flags, shard]))
        return [
            subprocess.Popen(
                command,
                env=os.environ | rendezvous | {"WORLD_SIZE": str(len(gpus)), "RANK": str(rank), "LOCAL_RANK": str(gpu)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank, gpu in enumerate(gpus)
        ]

    def steps_of_group(self, *arguments):
        """Runs mnrl-train as a process group; gives the steps, and the messages of rank 0."""
        processes = self.start_group(*arguments)
        ends = [process.communicate() for process in processes]
        for process, (_, error) in zip(processes, ends):
            if process.returncode:
                raise RuntimeError(f"mnrl-train ended with {process.returncode}: {error.strip()}")
        return [json.loads(line) for line in ends[0][0].splitlines()], ends[0][1]


def main():
    parser = measure.parser(__doc__, "bin", "python")
    parser.add_argument("what", choices=["check", "bench"])
    parser.add_argument("--model", required=True, help="a BERT with vocab.txt, such as the demo's")
    parser.add_argument("--corpus", required=True, type=pathlib.Path, help="documents as JSON Lines")
    parser.add_argument("--device", default="cuda", help="what is compared with the CPU; with cpu, only this script is tested")
    parser.add_argument("--small", action="store_true", help="little work and no targets, to test this script")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lab = Lab(options, pathlib.Path(name))
        {"check": check_cuda.checks, "bench": bench_cuda.benches}[options.what](lab)
    for _, row in lab.rows:
        print(row)
    sys.exit(not all(fine for fine, _ in lab.rows))


if __name__ == "__main__":
    main()
