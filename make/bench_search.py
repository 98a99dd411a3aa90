#!/usr/bin/env python3
"""Times ir-eval beside sentence-transformers' evaluator, faiss, pytrec_eval and trec_eval.

All have the same vectors, judgments and threads, and run alternately, as whole processes: files in, figures out. The
machine may be busy, so CPU time is printed beside wall-clock time, with ratios of both. The searches of ir-eval and faiss
are also timed alone, as is trec_eval's own code without Python's start.
"""
import pathlib
import re
import statistics
import tempfile

import measure
from reference_search import DIMENSION, K

HERE = pathlib.Path(__file__).resolve().parent
# All that both trec_eval and ir-eval have, at trec_eval's cutoffs.
AT_CUTOFFS = ("precision", "recall", "ndcg", "map", "accuracy", "capped-recall")
METRICS = ["ndcg", "map", "mrr", "recall", "precision", "f1", "rprec", "bpref", "rbp", "err", "judged"]
METRICS += [f"{name}@{k}" for name in AT_CUTOFFS for k in (5, 10, 15, 20, 30, 100, 200, 500, 1000)]


def compare(title, commands, rounds):
    """Runs the commands alternately and prints a row for each, with ratios to the first."""
    print(title)
    measured = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            measured[name] += filter(None, [measure.run(*command, may_fail=True)])
    first = None
    for name, runs in measured.items():
        if not runs:
            print(f"  {name:<22} did not run")
            continue
        wall, cpu, memory, alone = (
            statistics.median(column)
            for column in zip(*((ran.seconds, ran.cpu_seconds, ran.peak_mb, seconds_alone(ran)) for ran in runs))
        )
        first = first or (wall, cpu)
        ratio = f"{wall / first[0]:5.1f} x {cpu / first[1]:5.1f} x"
        print(f"  {name:<22} {wall:7.3f} s wall {cpu:7.3f} s cpu {memory:6.0f} MB  {ratio}  alone {alone:.3f} s")


def seconds_alone(ran):
    """The time that a program reports for its search or evaluation; 0 if it reports none."""
    found = re.search(r"(?:documents in|alone) ([\d.]+) s", ran.stdout + ran.stderr)
    return float(found[1]) if found else 0


def main():
    parser = measure.parser(__doc__, "bin", "python", "rounds", "threads")
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def reference(program, *flags):
            return [options.python, HERE / "reference_search.py", program, folder, "--threads", options.threads, *flags]

        measure.run(*reference("inputs", "--documents", options.documents, "--queries", options.queries))
        ours = [options.bin / "ir-eval", "-v", "--device", "cpu", "--threads", options.threads, "--format", "tsv"]
        vectors = f"s={folder}/q.npy,{folder}/c.npy"
        searches = {
            "ir-eval": [*ours, "--depth", K, "--qrels", f"{folder}/qrels", vectors],
            "sentence-transformers": reference("sentence-transformers"),
            "faiss": reference("faiss"),
        }
        size = f"{options.documents} documents, {options.queries} queries, {DIMENSION} elements, {options.threads} threads"
        compare(size, searches, options.rounds)
        trec_eval = [options.python, HERE / "reference_trec_eval.py", f"{folder}/run.qrels", f"{folder}/run"]
        evaluations = {
            "ir-eval": [*ours, "--metrics", ",".join(METRICS), "--qrels", f"{folder}/run.qrels", f"s={folder}/run"],
            "pytrec_eval": reference("pytrec_eval"),
            "trec_eval, in Python": trec_eval,
        }
        compare("metrics of a run of 30,101 lines", evaluations, options.rounds)


if __name__ == "__main__":
    main()
