#!/usr/bin/env python3
"""Runs ir-eval --compat trec beside pytrec_eval on random judgments and runs, in every form that ir-eval reads.

    python3 -m venv venv
    venv/bin/pip install pytrec_eval-terrier==0.5.11 && venv/bin/python forms.py IR_EVAL [SEED [TRIALS]]

Ids look like comments, numbers, headers and JSON; scores tie, also as floats only; grades are negative, too; queries are
missing, and documents not judged. Exit code 1: a figure differs. pytrec_eval, which now and then crashes or never returns,
works in a process of its own; what it lost is counted. (A relevance of -2 always crashes it, and is left out.)
"""

import json
import multiprocessing
import pathlib
import random
import subprocess
import sys
import tempfile

import pytrec_eval

# Our names are those of other programs here: every alias has its figure.
NAMES = {"recip_rank": "recip_rank", "map": "AP", "ndcg": "nDCG", "ndcg_cut_1": "ndcg_cut_1", "ndcg_cut_3": "ndcg_cut.3",
         "ndcg_cut_10": "NDCG@10", "P_5": "P@5", "P_10": "P_10", "recall_3": "recall_3", "recall_10": "R@10",
         "success_1": "success_1", "success_5": "hit@5", "map_cut_10": "map_at_10", "Rprec": "Rprec", "bpref": "Bpref",
         "set_P": "set_P", "set_recall": "SetR", "set_F": "SetF"}
MEASURES = {"recip_rank", "map", "ndcg", "ndcg_cut.1,3,10", "P.5,10", "recall.3,10", "success.1,5", "map_cut.10", "Rprec",
            "bpref", "set_P", "set_recall", "set_F"}
ODD = ["#", "#q", "# a", "q 1", "é", "q,1", '"x"', "'", "{a}", "[1]", "null", "1", "01", "1.0", "-", "Q0", "query", "qid"]
SCORES = [lambda rng: rng.randint(0, 3) / 2, lambda rng: rng.random(), lambda rng: 0.7 + rng.randint(0, 9) * 1e-9,
          lambda rng: rng.choice([1e39, -1e39, 1e-50, 0.0, -0.0, 1e38]), lambda rng: float(2**24 + rng.randint(0, 9))]


def make(rng):
    qrels, run = {}, {}
    for q in range(rng.randint(1, 12)):
        query = f"{rng.choice(ODD)}{q}" if rng.random() < 0.5 else f"q{q}"
        documents = [f"{rng.choice(ODD) if rng.random() < 0.3 else 'd'}{n}" for n in range(rng.choice([1, 2, 5, 30]))]
        judged = rng.sample(documents, rng.randint(1, len(documents)))
        qrels[query] = {d: rng.choices([-1, 0, 1, 2, 3, 7], [1, 5, 6, 2, 1, 1])[0] for d in judged}
        if rng.random() < 0.85:
            score = rng.choice(SCORES)
            found = rng.sample(documents + ["unjudged 1", "unjudged 2"], rng.randint(1, len(documents)))
            run[query] = {d: score(rng) for d in found}
    run["not judged"] = {"d1": 1.0}
    return qrels, run


def quoted(text):
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"') else text


def rows(table):
    return [(query, document, number) for query, documents in table.items() for document, number in documents.items()]


FORMS = {
    "tabs": (lambda q, d, r: f"{q}\t{d}\t{r}\n", lambda q, d, s: f"{q}\tQ0\t{d}\t0\t{s!r}\tt\n", "", ""),
    "lines": (lambda q, d, r: json.dumps({"query-id": q, "corpus-id": d, "score": r}) + "\n",
              lambda q, d, s: json.dumps({"score": s, "docid": d, "qid": q}) + "\n", "", ""),
    "csv": (lambda q, d, r: f"{quoted(q)},{quoted(d)},{float(r)}\n", lambda q, d, s: f"{s!r},{quoted(d)},{quoted(q)}\n",
            "query-id,corpus-id,score\n", "score,docno,qid\n"),
}


def write(form, rng, qrels, run, folder):
    if form == "json":
        (folder / "qrels").write_text(json.dumps(qrels, indent=rng.choice([None, 2])))
        (folder / "run").write_text(json.dumps(run, ensure_ascii=rng.choice([True, False])))
        return
    judgment, hit, *headers = FORMS[form]
    (folder / "qrels").write_text(headers[0] + "".join(judgment(*row) for row in rows(qrels)))
    (folder / "run").write_text(headers[1] + "".join(hit(*row) for row in rows(run)))


def theirs(qrels, run):
    """What pytrec_eval says, if it says anything."""
    with multiprocessing.Pool(1) as pool:
        try:
            return pool.apply_async(evaluate, (qrels, run)).get(timeout=20)
        except multiprocessing.TimeoutError:
            return None


def evaluate(qrels, run):
    return pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)


def main():
    program, seed, trials = sys.argv[1], *(sys.argv[2:] + ["1", "100"][len(sys.argv) - 2:])
    rng = random.Random(int(seed))
    folder = pathlib.Path(tempfile.mkdtemp())
    values = wrong = lost = 0
    for _ in range(int(trials)):
        qrels, run = make(rng)
        form = rng.choice(["json", *FORMS])
        write(form, rng, qrels, run, folder)
        line = [program, "-q", "--compat", "trec", "--qrels", folder / "qrels", "--metrics", ",".join(NAMES.values()),
                "--per-query", folder / "values.tsv", f"s={folder / 'run'}"]
        ran = subprocess.run(line, capture_output=True, text=True)
        if ran.returncode:
            expected = ("no query has a relevant document", "holds no query of the judgments")
            if not any(text in ran.stderr for text in expected):
                print(form, ran.stderr, (folder / "qrels").read_text()[:500])
                wrong += 1
            continue
        reference = theirs(qrels, run)
        if reference is None:
            lost += 1
            continue
        lines = [line.split("\t") for line in (folder / "values.tsv").read_text().split("\n")[1:] if line]
        ours = {query: dict(zip(NAMES, map(float, numbers))) for query, *numbers in lines}
        assert ours.keys() == qrels.keys(), (form, ours.keys() ^ qrels.keys())
        for query in qrels:
            for name in NAMES:
                expected = reference.get(query, {}).get(name, 0.0)
                values += 1
                if abs(ours[query][name] - expected) > 1e-9:
                    print(form, query, name, ours[query][name], expected, qrels[query], run.get(query))
                    wrong += 1
    print(f"{values} values, {wrong} wrong; {lost} files lost by pytrec_eval")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
