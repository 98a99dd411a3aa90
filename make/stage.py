#!/usr/bin/env python3
"""Runs one stage of a reproducible run and records the command, its inputs and its outputs.

usage: stage.py RECORD [--inputs PATH...] [--outputs PATH...] [--stdout FILE] -- COMMAND...
       stage.py RECORD --assemble PART...

The first form runs COMMAND and writes RECORD, a JSON file; its exit code is COMMAND's. FILE gets COMMAND's stdout, and
is called FILE.part until COMMAND has succeeded. The second form puts the records PART... together, in this order.
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprints(paths):
    """Size and hash of every file; of a directory, of the files in it."""
    files = []
    for path in map(Path, paths):
        files += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return {str(file): {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in files}


def first_line(*command):
    """The version that a program prints, or nothing: not every program can be asked."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.partition("\n")[0] if done.returncode == 0 else None


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def run(command, stdout):
    """Runs a command and gives its exit code; after a signal that is 128 + its number, as in a shell."""
    # The command decides what a signal does, since it may save its work first. Ctrl-C reaches it without our help, because
    # the terminal sends it to the whole process group; SIGTERM reaches only this process, which passes it on.
    process = None
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process and process.terminate())
    process = subprocess.Popen(command, stdout=stdout)
    code = process.wait()
    return code if code >= 0 else 128 - code


def write(path, record):
    """Writes a file as a whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def stage(options, command):
    program = shutil.which(command[0])
    if program is None:
        sys.exit(f"stage: {command[0]}: not found or not executable")
    record = {
        "stage": options.record.stem,
        "command": command,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "program": {"version": first_line(program, "--version"), "sha256": sha256(program)},
        "machine": {"arch": platform.machine(), "cpu": cpu_model(), "threads": os.cpu_count()},
        "rustc": first_line(os.environ.get("RUSTC") or "rustc", "--version"),
        "inputs": fingerprints(options.inputs),
    }
    print(f"{options.record.stem}: {shlex.join(command)}", file=sys.stderr, flush=True)
    start = time.monotonic()
    if options.stdout:
        # The file gets its name when it is complete. Until then, and if the command fails, it can be read as .part.
        part = options.stdout.with_name(options.stdout.name + ".part")
        with open(part, "wb") as file:
            code = run(command, file)
        if code == 0:
            part.replace(options.stdout)
    else:
        code = run(command, None)
    record["wall_seconds"] = round(time.monotonic() - start, 3)
    record["exit_code"] = code
    record["outputs"] = fingerprints(options.outputs) if code == 0 else {}
    write(options.record, record)
    return code


def main():
    arguments = sys.argv[1:]
    border = arguments.index("--") if "--" in arguments else len(arguments)
    own, command = arguments[:border], arguments[border + 1 :]
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--inputs", nargs="*", default=[])
    parser.add_argument("--outputs", nargs="*", default=[])
    parser.add_argument("--stdout", type=Path)
    parser.add_argument("--assemble", nargs="+", type=Path)
    options = parser.parse_args(own)
    if bool(command) == bool(options.assemble):
        parser.error("give either a command or --assemble")
    options.record.parent.mkdir(parents=True, exist_ok=True)
    if options.assemble:
        write(options.record, {"stages": [json.loads(part.read_text(encoding="utf-8")) for part in options.assemble]})
        return 0
    return stage(options, command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"stage: {error.filename}: {error.strerror}")
