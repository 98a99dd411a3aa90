"""Helpers of the benchmarks: common flags, and running a program while measuring it."""
import argparse
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

FLAGS = {
    "bin": {"type": pathlib.Path, "default": "target/release", "help": "folder of the filters"},
    "python": {"default": sys.executable, "help": "a Python that has sentence-transformers [default: this one]"},
    "model": {"type": pathlib.Path, "required": True, "help": "a sentence-transformers directory"},
    "texts": {"type": pathlib.Path, "required": True, "help": "documents as JSON Lines"},
    "rounds": {"type": int, "default": 3, "help": "how often each side is measured"},
    "threads": {"type": int, "default": os.cpu_count(), "help": "CPU threads [default: all]"},
}


def parser(description, *names):
    """A parser with the named ones of the common flags."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in names:
        found.add_argument(f"--{name}", **FLAGS[name])
    return found


def head(source, target, lines):
    """Copies the first lines of a file."""
    with open(source, encoding="utf-8") as records:
        target.write_text("".join(itertools.islice(records, lines)), encoding="utf-8")
    return target


@dataclass
class Measured:
    """A program that ran to its end."""

    stdout: str
    stderr: str
    seconds: float
    """Wall-clock time, from its start."""
    cpu_seconds: float
    peak_mb: float
    """The most memory that it had, mapped files included."""
    own_mb: float
    """The most memory that it had without mapped files, which can be read again; sampled 20 times a second."""


def run(*command, env=None, may_fail=False):
    """Runs a program and measures it. If it fails, so does the benchmark; if it may fail, a message is printed instead."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=os.environ | (env or {}))
        samples, ended = [], threading.Event()
        sampling = threading.Thread(target=sample_own_memory, args=(process.pid, samples, ended))
        sampling.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampling.join()
        stdout.seek(0), stderr.seek(0)
        if process.returncode:
            if may_fail:
                print(f"bench: {command[0]}: {(stderr.read().strip().splitlines() or ['no message'])[-1]}", file=sys.stderr)
                return None
            sys.exit(f"bench: {shlex.join(command)} ended with {process.returncode}:\n{stderr.read()}")
        cpu_seconds = usage.ru_utime + usage.ru_stime
        return Measured(stdout.read(), stderr.read(), seconds, cpu_seconds, usage.ru_maxrss / 1024, max(samples, default=0))


def sample_own_memory(pid, samples, ended):
    while not ended.wait(0.05):
        try:
            found = re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
        except OSError:
            return
        if found:
            samples.append(int(found[1]) / 1024)
