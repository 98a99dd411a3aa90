#!/usr/bin/env python3
"""Makes the values that our metrics must equal: a random run with many ties, judged by trec_eval and others.

    python3 -m venv venv
    venv/bin/pip install pytrec_eval-terrier==0.5.11 ir-measures==0.4.3 cwl-eval==1.0.12
    venv/bin/python make.py

Writes, beside itself: qrels.txt (TREC's four columns; relevance -1 to 3), run.txt (TREC's six columns) and expected.tsv
(query, metric, value). Scores are multiples of 1/8, so that ties abound and float32, which trec_eval 9 stores, is exact.
All values are trec_eval's, but for: err, of gdeval.pl (through ir_measures; five digits), rbp, of cwl_eval,
and judged, of ir_measures, on runs whose scores are made unique in trec_eval's order, because each breaks ties in its own
way.
"""

import pathlib
import random

import ir_measures
import pytrec_eval
from cwl.ruler.measures.cwl_rbp import RBPCWLMetric
from cwl.ruler.ranking import Ranking
from ir_measures import ERR, Judged

HERE = pathlib.Path(__file__).parent
CUTOFFS = [1, 3, 5, 10, 100]
NAMES = {"ndcg_cut": "ndcg", "recall": "recall", "P": "precision", "map_cut": "map", "success": "accuracy",
         "relative_P": "capped-recall"}
WHOLE = {"Rprec": "rprec", "bpref": "bpref", "ndcg": "ndcg", "map": "map", "recip_rank": "mrr", "set_P": "precision",
         "set_recall": "recall", "set_F": "f1"}


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


def others(qrels, run, values):
    """Adds what trec_eval 9 does not have."""
    unique = {q: {d: -float(n) for n, d in enumerate(top(docs, len(docs)))} for q, docs in run.items()}
    judged = {q: {d: max(r, 0) for d, r in docs.items()} for q, docs in qrels.items()}
    # gdeval takes numbers as ids of queries only.
    numbers = {str(n): query for n, query in enumerate(qrels)}
    numbered = [{number: table[query] for number, query in numbers.items()} for table in (judged, unique)]
    for k in CUTOFFS:
        measures = {ERR @ k: "err", Judged @ k: "judged"}
        for value in ir_measures.iter_calc(list(measures), *numbered):
            values[numbers[value.query_id]][f"{measures[value.measure]}@{k}"] = value.value
        for query, documents in unique.items():
            gains = [float(qrels[query].get(document, 0) > 0) for document in list(documents)[:k]]
            ranking = Ranking(query, gains, [1.0] * len(gains))
            values[query][f"rbp@{k}"] = float(RBPCWLMetric(0.8).measure(ranking))


def main():
    qrels, run = make(20)
    measures = {f"{name}.{','.join(map(str, CUTOFFS))}" for name in NAMES}
    values = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    for query, whole in pytrec_eval.RelevanceEvaluator(qrels, set(WHOLE)).evaluate(run).items():
        values[query] |= {f"{ours}@": whole[theirs] for theirs, ours in WHOLE.items()}
    # Exponential gain is linear gain of other grades.
    grades = {q: {d: 2 ** max(r, 0) - 1 for d, r in docs.items()} for q, docs in qrels.items()}
    exponential = pytrec_eval.RelevanceEvaluator(grades, {f"ndcg_cut.{','.join(map(str, CUTOFFS))}"}).evaluate(run)
    ranks = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"})
    for k in CUTOFFS:
        for query, value in ranks.evaluate({q: top(d, k) for q, d in run.items()}).items():
            values[query][f"mrr@{k}"] = value["recip_rank"]
            values[query][f"ndcg-exp@{k}"] = exponential[query][f"ndcg_cut_{k}"]
            precision, recall = values[query][f"P_{k}"], values[query][f"recall_{k}"]
            values[query][f"f1@{k}"] = 2 * precision * recall / (precision + recall) if precision else 0.0
    others(qrels, run, values)

    with open(HERE / "qrels.txt", "w") as out:
        for query, documents in qrels.items():
            out.writelines(f"{query} 0 {document} {relevance}\n" for document, relevance in documents.items())
    with open(HERE / "run.txt", "w") as out:
        for query, documents in run.items():
            out.writelines(f"{query} Q0 {document} 0 {score} random\n" for document, score in documents.items())
    with open(HERE / "expected.tsv", "w") as out:
        for query in qrels:
            for name, value in sorted(values[query].items()):
                if name.endswith("@"):
                    name = name[:-1]
                elif "@" not in name:
                    measure, _, k = name.rpartition("_")
                    name = f"{NAMES[measure]}@{k}"
                out.write(f"{query}\t{name}\t{value!r}\n")


if __name__ == "__main__":
    main()
