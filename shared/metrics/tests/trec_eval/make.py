#!/usr/bin/env python3
"""Makes the figures that our metrics must equal: a random run with many ties, judged by trec_eval.

    python3 -m venv venv && venv/bin/pip install pytrec_eval-terrier==0.5.11 && venv/bin/python make.py

Writes, beside itself: qrels.txt (TREC's four columns; relevance -1 to 3), run.txt (TREC's six columns) and expected.tsv
(query, metric, value). Scores are multiples of 1/8, so that ties abound and float32, which trec_eval 9 stores, is exact.
"""

import pathlib
import random

import pytrec_eval

HERE = pathlib.Path(__file__).parent
CUTOFFS = [1, 3, 5, 10, 100]
NAMES = {"ndcg_cut": "ndcg", "recall": "recall", "P": "precision", "map_cut": "map", "success": "accuracy"}


def make(seed):
    rng = random.Random(seed)
    qrels, run = {}, {}
    for q in range(40):
        query = f"q{q}"
        documents = [f"d{n}" for n in range(rng.choice([5, 60, 200]))]
        judged = rng.sample(documents, rng.randint(1, min(30, len(documents))))
        qrels[query] = {d: rng.choices([-1, 0, 1, 2, 3], [1, 6, 6, 2, 1])[0] for d in judged}
        found = rng.sample(documents, rng.randint(1, len(documents)))
        run[query] = {d: (rng.randint(0, 24) + 4 * max(qrels[query].get(d, 0), 0)) / 8 for d in found}
    qrels["all-irrelevant"] = {"d1": 0, "d2": 0}
    run["all-irrelevant"] = {"d1": 1.0, "d2": 0.5}
    qrels["nothing-found"] = {"d1": 1}
    run["nothing-found"] = {"x1": 1.0, "x2": 0.5}
    return qrels, run


def top(documents, k):
    """The first k in trec_eval's order, for the reciprocal rank, which has no cutoff of its own."""
    return dict(sorted(documents.items(), key=lambda item: (item[1], item[0]), reverse=True)[:k])


def main():
    qrels, run = make(20)
    measures = {f"{name}.{','.join(map(str, CUTOFFS))}" for name in NAMES}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    ranks = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"})
    for k in CUTOFFS:
        for query, value in ranks.evaluate({q: top(d, k) for q, d in run.items()}).items():
            values[query][f"mrr@{k}"] = value["recip_rank"]

    with open(HERE / "qrels.txt", "w") as out:
        for query, documents in qrels.items():
            out.writelines(f"{query} 0 {document} {relevance}\n" for document, relevance in documents.items())
    with open(HERE / "run.txt", "w") as out:
        for query, documents in run.items():
            out.writelines(f"{query} Q0 {document} 0 {score} random\n" for document, score in documents.items())
    with open(HERE / "expected.tsv", "w") as out:
        for query in qrels:
            for name, value in sorted(values[query].items()):
                if "@" not in name:
                    measure, _, k = name.rpartition("_")
                    name = f"{NAMES[measure]}@{k}"
                out.write(f"{query}\t{name}\t{value!r}\n")


if __name__ == "__main__":
    main()
