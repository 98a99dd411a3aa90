#!/usr/bin/env python3
"""Makes the values that --compat trec must equal for scores that differ by less than 32 bits can hold: those of trec_eval 9,
which stores scores as C's float, through pytrec_eval.

    python3 -m venv venv
    venv/bin/pip install pytrec_eval-terrier==0.5.11 && venv/bin/python single.py

Writes, beside itself: single.qrels (TREC's four columns; relevance -1 to 3), single.run (TREC's six columns, scores as
Python writes doubles) and single.tsv (query, metric, value). Some queries of the judgments are not in the run and one of
the run is not judged.
"""

import pathlib
import random

import pytrec_eval

HERE = pathlib.Path(__file__).parent
NAMES = {"recip_rank": "mrr", "map": "map", "ndcg_cut_5": "ndcg@5", "ndcg_cut_10": "ndcg@10", "P_5": "precision@5",
         "recall_10": "recall@10", "success_1": "accuracy@1", "map_cut_10": "map@10", "Rprec": "rprec", "bpref": "bpref"}
MEASURES = {"recip_rank", "map", "ndcg_cut.5,10", "P.5", "recall.10", "success.1", "map_cut.10", "Rprec", "bpref"}


def scores(rng):
    """Numbers of which several are one as floats: neighbours, and those that are too large or too small."""
    kind = rng.randrange(6)
    if kind == 0:
        return 0.5 + rng.randrange(12) * 1e-9
    if kind == 1:
        return float(2**24 + rng.randrange(6))
    if kind == 2:
        return rng.choice([-1, 1]) * 10.0 ** rng.randrange(38, 42)
    if kind == 3:
        return rng.choice([-1, 1]) * 10.0 ** -rng.randrange(44, 50)
    if kind == 4:
        return rng.choice([0.0, -0.0, 1 / 3, 0.1 + 0.2, 0.3])
    return rng.random()


def main():
    rng = random.Random(32)
    qrels, run = {}, {}
    for q in range(60):
        documents = [f"d{n}" for n in range(rng.choice([3, 12, 40]))]
        judged = rng.sample(documents, rng.randint(1, len(documents)))
        qrels[f"q{q}"] = {d: rng.choices([-1, 0, 1, 2, 3], [1, 5, 6, 2, 1])[0] for d in judged}
        if q % 10 != 7:
            run[f"q{q}"] = {d: scores(rng) for d in rng.sample(documents, rng.randint(1, len(documents)))}
    run["unjudged"] = {"d1": 1.0}
    values = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
    with open(HERE / "single.qrels", "w") as out:
        for query, documents in qrels.items():
            out.writelines(f"{query} 0 {document} {relevance}\n" for document, relevance in documents.items())
    with open(HERE / "single.run", "w") as out:
        for query, documents in run.items():
            out.writelines(f"{query} Q0 {document} 0 {score!r} t\n" for document, score in documents.items())
    with open(HERE / "single.tsv", "w") as out:
        for query in qrels:
            for theirs, ours in NAMES.items():
                out.write(f"{query}\t{ours}\t{values.get(query, {}).get(theirs, 0.0)!r}\n")


if __name__ == "__main__":
    main()
