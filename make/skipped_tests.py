#!/usr/bin/env python3
"""Names the tests that did not run, in one line, with the reasons.

LOG is what `cargo test` printed: tests that are ignored, because something runs them on demand. NOTES has a line for each
test that returned early, with a tab before the reason; embtune_tests::skip writes it.
"""
import argparse
import pathlib
import re

IGNORED = re.compile(r"^test (.+) \.\.\. ignored(?:, (.+))?$", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=pathlib.Path)
    parser.add_argument("notes", type=pathlib.Path)
    options = parser.parse_args()
    skipped = {}
    for name, reason in IGNORED.findall(options.log.read_text(encoding="utf-8")):
        skipped.setdefault(reason or "no reason given", []).append(name)
    notes = options.notes.read_text(encoding="utf-8") if options.notes.exists() else ""
    for line in sorted(set(notes.splitlines())):
        name, reason = line.split("\t")
        skipped.setdefault(reason, []).append(name)
    count = sum(map(len, skipped.values()))
    names = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in skipped.items())
    print(f"make: all tests passed, {count} skipped{': ' if count else ''}{names}")


if __name__ == "__main__":
    main()
