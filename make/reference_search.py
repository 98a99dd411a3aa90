#!/usr/bin/env python3
"""Searches and evaluates with other programs what ir-eval is timed on, for `make bench-search`.

`inputs` writes FOLDER: random unit vectors of queries and documents with their ids, a relevant document for each query,
and a run of the size of trec_eval's own test. The others read it. A program that is timed without Python's start prints
`alone` and its seconds. Each needs the packages of its name.
"""
import argparse
import pathlib
import time

DIMENSION, K = 384, 100


def inputs(options):
    import numpy

    folder, documents, queries = options.folder, options.documents, options.queries

    rng = numpy.random.default_rng(0)
    for name, rows in (("c", documents), ("q", queries)):
        vectors = rng.standard_normal((rows, DIMENSION), dtype=numpy.float32)
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


def sentence_transformers(options):
    import unittest.mock

    import numpy
    import torch
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import cos_sim

    torch.set_num_threads(options.threads)
    vectors, ids = {}, {}
    for name in "qc":
        ids[name] = (options.folder / f"{name}.ids").read_text().split()
        vectors[name] = torch.from_numpy(numpy.load(options.folder / f"{name}.npy"))
    rows = {id: row for name in "qc" for row, id in enumerate(ids[name])}
    model = unittest.mock.MagicMock(similarity_fn_name="cosine", similarity=cos_sim)
    model.encode_query = model.encode_document = model.encode = lambda texts, **_: (
        vectors[texts[0][0]][rows[texts[0]] : rows[texts[0]] + len(texts)]
    )
    relevant = {line.split()[0]: {line.split()[2]} for line in open(options.folder / "qrels")}
    evaluator = InformationRetrievalEvaluator(
        {id: id for id in ids["q"]}, {id: id for id in ids["c"]}, relevant, score_functions={"cosine": cos_sim}, write_csv=False
    )
    print(evaluator(model)["cosine_ndcg@10"])


def faiss(options):
    import faiss
    import numpy

    faiss.omp_set_num_threads(options.threads)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(numpy.load(options.folder / "c.npy"))
    queries = numpy.load(options.folder / "q.npy")
    start = time.perf_counter()
    index.search(queries, K)
    print(f"alone {time.perf_counter() - start:.2f} s")


def pytrec_eval(options):
    import pytrec_eval

    qrels, run = pytrec_eval.parse_qrel(open(options.folder / "run.qrels")), pytrec_eval.parse_run(open(options.folder / "run"))
    values = pytrec_eval.RelevanceEvaluator(qrels, pytrec_eval.supported_measures).evaluate(run)
    print(len(values))


def main():
    programs = {"inputs": inputs, "sentence-transformers": sentence_transformers, "faiss": faiss, "pytrec_eval": pytrec_eval}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", choices=programs)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--documents", type=int, help="for inputs")
    parser.add_argument("--queries", type=int, help="for inputs")
    options = parser.parse_args()
    programs[options.program](options)


if __name__ == "__main__":
    main()
