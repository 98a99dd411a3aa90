#!/usr/bin/env python3
"""Makes the figures that --compat must equal: those of sentence-transformers' and BEIR's evaluators on the same vectors.

    python3 -m venv venv
    venv/bin/pip install sentence-transformers==6.0.1 beir==2.2.0 pytrec_eval-terrier==0.5.11 && venv/bin/python make.py

Writes, beside itself: queries.npy and corpus.npy (small whole numbers, so that dot products are exact and ties abound)
with their ids in .ids, qrels.tsv (BEIR's form, graded; some queries have the id of a document), st.json and st.csv
(InformationRetrievalEvaluator's keys and file) and beir.json (EvaluateRetrieval's).
"""

import json
import pathlib
import shutil
import tempfile
import unittest.mock

import numpy
import torch
from beir.retrieval.evaluation import EvaluateRetrieval
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import dot_score

HERE = pathlib.Path(__file__).parent


class Vectors:
    """A model that knows its texts' vectors."""

    similarity_fn_name = "dot"
    similarity = staticmethod(dot_score)
    model_card_data = unittest.mock.MagicMock()

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, **_):
        return torch.from_numpy(numpy.stack([self.vectors[text] for text in texts]))

    encode_query = encode_document = encode


def main():
    rng = numpy.random.default_rng(11)
    # Documents and queries share ids and texts, so that a query finds itself.
    corpus = {f"d{n}": rng.integers(-3, 4, 6).astype(numpy.float32) for n in range(150)}
    queries = {}
    for n in range(24):
        queries[f"d{n}" if n < 6 else f"q{n}"] = rng.integers(-3, 4, 6).astype(numpy.float32)
    qrels = {}
    for query, vector in queries.items():
        near = sorted(corpus, key=lambda document: -float(corpus[document] @ vector))[:40]
        judged = rng.choice(near, rng.integers(1, 14), replace=False)
        qrels[query] = {str(document): int(rng.integers(1, 4)) for document in judged if document != query}

    for name, vectors in (("queries", queries), ("corpus", corpus)):
        numpy.save(HERE / f"{name}.npy", numpy.stack(list(vectors.values())))
        (HERE / f"{name}.ids").write_text("".join(f"{id}\n" for id in vectors))
    with open(HERE / "qrels.tsv", "w") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        for query, documents in qrels.items():
            out.writelines(f"{query}\t{document}\t{relevance}\n" for document, relevance in documents.items())

    model = Vectors({f"query {id}": vector for id, vector in queries.items()} | corpus)
    evaluator = InformationRetrievalEvaluator(
        {id: f"query {id}" for id in queries},
        {id: id for id in corpus},
        {query: set(documents) for query, documents in qrels.items()},
        score_functions={"dot": dot_score},
        corpus_chunk_size=37,
    )
    with tempfile.TemporaryDirectory() as folder:
        figures = evaluator(model, output_path=folder)
        shutil.copy(next(pathlib.Path(folder).glob("*.csv")), HERE / "st.csv")
    (HERE / "st.json").write_text(json.dumps({name: float(value) for name, value in figures.items()}, indent=1) + "\n")

    run = {q: {d: float(vector @ other) for d, other in corpus.items()} for q, vector in queries.items()}
    cutoffs = [1, 3, 5, 10, 100, 1000]
    evaluate = EvaluateRetrieval.evaluate(qrels, run, cutoffs, ignore_identical_ids=True)
    figures = {name: value for part in evaluate for name, value in part.items()}
    # Its own metrics look at the whole run, and leave ties in the order of the dict: here in trec_eval's, as the others.
    others = {}
    for query, documents in run.items():
        order = sorted(documents.items(), key=lambda item: (item[1], item[0]), reverse=True)
        others[query] = {document: score for document, score in order if document != query}
    for metric in ("r_cap", "acc"):
        figures |= EvaluateRetrieval.evaluate_custom(qrels, others, cutoffs, metric=metric)
    (HERE / "beir.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
