#!/usr/bin/env python3
"""Times ir-eval beside sentence-transformers' evaluator, faiss, pytrec_eval and trec_eval: the same vectors, judgments and
threads, in turns; whole processes from their start, files in, figures out.

The machine may be busy: seconds of the processor are printed beside those of the clock, and ratios of both. What is timed
alone: the searches of ir-eval and faiss, and trec_eval's own code, which make/trec_eval.py runs, without Python's start.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

DIM, K = 384, 100
# All that trec_eval has and ir-eval has, at trec_eval's cutoffs.
CUT = ("precision", "recall", "ndcg", "map", "accuracy", "capped-recall")
METRICS = ["ndcg", "map", "mrr", "recall", "precision", "f1", "rprec", "bpref", "rbp", "err", "judged"]
METRICS += [f"{name}@{k}" for name in CUT for k in (5, 10, 15, 20, 30, 100, 200, 500, 1000)]


def make(folder, documents, queries):
    """Random unit vectors with ids, a relevant document for each query, and a run of trec_eval's own test's size."""
    import numpy

    rng = numpy.random.default_rng(0)
    for name, rows in (("c", documents), ("q", queries)):
        vectors = rng.standard_normal((rows, DIM), dtype=numpy.float32)
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        numpy.save(folder / f"{name}.npy", vectors)
        (folder / f"{name}.ids").write_text("".join(f"{name}{row}\n" for row in range(rows)))
    relevant = rng.integers(documents, size=queries)
    (folder / "qrels").write_text("".join(f"q{row} 0 c{document} 1\n" for row, document in enumerate(relevant)))
    with open(folder / "run", "w") as run, open(folder / "run.qrels", "w") as qrels:
        for query in range(31):
            for rank, document in enumerate(rng.permutation(971)):
                run.write(f"{query} Q0 DOC-{document:08} {rank} {1000 - rank + rng.random():.6f} t\n")
            qrels.writelines(f"{query} 0 DOC-{document:08} {rng.integers(3)}\n" for document in rng.permutation(2000)[:330])


def child_st(folder, threads):
    import unittest.mock

    import numpy
    import torch
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import cos_sim

    torch.set_num_threads(threads)
    vectors, ids = {}, {}
    for name in "qc":
        ids[name] = (folder / f"{name}.ids").read_text().split()
        vectors[name] = torch.from_numpy(numpy.load(folder / f"{name}.npy"))
    rows = {id: row for name in "qc" for row, id in enumerate(ids[name])}
    model = unittest.mock.MagicMock(similarity_fn_name="cosine", similarity=cos_sim)
    model.encode_query = model.encode_document = model.encode = lambda texts, **_: (
        vectors[texts[0][0]][rows[texts[0]] : rows[texts[0]] + len(texts)]
    )
    relevant = {line.split()[0]: {line.split()[2]} for line in open(folder / "qrels")}
    evaluator = InformationRetrievalEvaluator(
        {id: id for id in ids["q"]}, {id: id for id in ids["c"]}, relevant, score_functions={"cosine": cos_sim}, write_csv=False
    )
    print(evaluator(model)["cosine_ndcg@10"])


def child_faiss(folder, threads):
    import faiss
    import numpy

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(DIM)
    index.add(numpy.load(folder / "c.npy"))
    queries = numpy.load(folder / "q.npy")
    start = time.perf_counter()
    index.search(queries, K)
    print(f"alone {time.perf_counter() - start:.2f} s")


def child_trec(folder, _threads):
    import pytrec_eval

    qrels, run = pytrec_eval.parse_qrel(open(folder / "run.qrels")), pytrec_eval.parse_run(open(folder / "run"))
    values = pytrec_eval.RelevanceEvaluator(qrels, pytrec_eval.supported_measures).evaluate(run)
    print(len(values))


def measure(command):
    """Wall seconds, processor seconds, peak memory in MB, seconds of what is timed alone; nothing when it cannot run."""
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        out.seek(0)
        alone = re.search(r"(?:documents in|alone) ([\d.]+) s", out.read())
    return None if status else (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, float(alone[1]) if alone else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release", help="folder of the filters")
    parser.add_argument("--python", default=sys.executable, help="a Python that has numpy and sentence-transformers")
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, folder = options.child
        children = {"make": lambda folder, _: make(folder, options.documents, options.queries)}
        children |= {"st": child_st, "faiss": child_faiss, "trec": child_trec}
        return children[what](pathlib.Path(folder), options.threads)

    with tempfile.TemporaryDirectory() as folder:
        sizes = ["--documents", str(options.documents), "--queries", str(options.queries), "--threads", str(options.threads)]
        child = lambda what: [options.python, __file__, *sizes, "--child", what, folder]
        subprocess.run(child("make"), check=True)
        ours = [f"{options.bin}/ir-eval", "-v", "--device", "cpu", "--threads", str(options.threads), "--format", "tsv"]
        search = [*ours, "--depth", str(K), "--qrels", f"{folder}/qrels", f"s={folder}/q.npy,{folder}/c.npy"]
        trec = [*ours, "--metrics", ",".join(METRICS), "--qrels", f"{folder}/run.qrels", f"s={folder}/run"]
        trec_eval = [options.python, str(pathlib.Path(__file__).parent / "trec_eval.py"), f"{folder}/run.qrels", f"{folder}/run"]
        for title, named in (
            (f"{options.documents} documents, {options.queries} queries, {DIM} elements, {options.threads} threads",
             {"ir-eval": search, "sentence-transformers": child("st"), "faiss": child("faiss")}),
            ("metrics of a run of 30,101 lines",
             {"ir-eval": trec, "pytrec_eval": child("trec"), "trec_eval, in Python": trec_eval}),
        ):
            print(title)
            figures = {name: [] for name in named}
            for _ in range(options.rounds):
                for name, command in named.items():
                    figures[name] += filter(None, [measure(command)])
            first = None
            for name, measured in figures.items():
                if not measured:
                    print(f"  {name:<22} is not installed")
                    continue
                wall, cpu, memory, alone = (statistics.median(column) for column in zip(*measured))
                first = first or (wall, cpu)
                ratio = f"{wall / first[0]:5.1f} x {cpu / first[1]:5.1f} x"
                print(f"  {name:<22} {wall:7.3f} s wall {cpu:7.3f} s cpu {memory:6.0f} MB  {ratio}  alone {alone:.3f} s")


if __name__ == "__main__":
    main()
