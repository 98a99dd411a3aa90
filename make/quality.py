#!/usr/bin/env python3
"""Trains embtune and sentence-transformers with the same settings on a retrieval set, and compares the results.

The set is a folder in BEIR's layout with qrels/train.tsv and qrels/test.tsv. Prints NDCG@10 of the base model and of
every seed on both sides, then ir-eval's comparison of the first seed with the base model. With --negatives, embtune is
also trained with hard negatives that mine-negatives finds with the base model, without any document that is judged for a
test query.
"""
import functools
import json
import pathlib
import statistics
import tempfile

import measure

REFERENCE = pathlib.Path(__file__).with_name("reference_sentence_transformers.py")


def records(path):
    with open(path, encoding="utf-8") as lines:
        return {record["_id"]: record for record in map(json.loads, lines)}


def judged(path):
    with open(path, encoding="utf-8") as lines:
        rows = [line.split("\t") for line in lines][1:]
    return [(query, document) for query, document, score, *_ in rows if float(score) > 0]


class Comparison:
    """The trainings of both sides, in a folder for their files."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        # The files of its vectors are named after this link.
        self.base = folder / "base"
        self.base.symlink_to(options.model.resolve())

    def filter(self, name, *arguments):
        return measure.run(self.options.bin / name, *arguments).stdout

    def write_pairs(self):
        """Writes the pairs that the training judgments name."""
        data = self.options.data
        documents, queries = records(data / "corpus.jsonl"), records(data / "queries.jsonl")
        with open(self.folder / "pairs.jsonl", "w", encoding="utf-8") as out:
            for query, document in judged(data / "qrels/train.tsv"):
                text = " ".join(filter(None, (documents[document].get("title"), documents[document]["text"])))
                pair = {"anchor": queries[query]["text"], "positive": text, "anchor_id": query, "positive_id": document}
                print(json.dumps(pair), file=out)

    def write_shard(self, name):
        """Writes NAME.jsonl as NAME.safetensors, with all pairs: sentence-transformers trains on all of them, too."""
        files = [self.folder / f"{name}.jsonl", "-o", self.folder / f"{name}.safetensors"]
        self.filter("pairs2shards", "--model", self.options.model, "--near-duplicate", 1, *files)

    def mine(self):
        """Writes mined.jsonl: the pairs with negatives."""
        options, folder = self.options, self.folder
        with open(folder / "pairs.jsonl", encoding="utf-8") as lines:
            queries = {pair["anchor_id"]: pair["anchor"] for pair in map(json.loads, lines)}
        anchors = "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in queries.items())
        (folder / "anchors.jsonl").write_text(anchors, encoding="utf-8")
        documents = sorted({document for _, document in judged(options.data / "qrels/test.tsv")})
        (folder / "test-documents").write_text("\n".join(documents), encoding="utf-8")
        corpus = options.data / "corpus.jsonl"
        self.embed(self.base, "query", folder / "anchors.jsonl", folder / "mine.query.safetensors")
        self.embed(self.base, "document", corpus, folder / "mine.document.safetensors")
        files = ["--queries", folder / "mine.query.safetensors", "--corpus", folder / "mine.document.safetensors", "--texts", corpus]
        flags = ["-n", options.negatives, "--exclude-documents", folder / "test-documents", *options.mine_flags.split()]
        self.filter("mine-negatives", *files, *flags, folder / "pairs.jsonl", "-o", folder / "mined.jsonl")

    def embed(self, model, role, texts, out):
        self.filter("embed", "--model", model, "--role", role, "--threads", self.options.threads, texts, "-o", out)

    @functools.cache
    def vectors(self, model, data):
        """Embeds the queries and documents of a set; gives ir-eval's operand."""
        files = [self.folder / f"{data.name}.{model.name}.{role}.safetensors" for role in ("query", "document")]
        for role, name, file in zip(("query", "document"), ("queries", "corpus"), files):
            self.embed(model, role, data / f"{name}.jsonl", file)
        return f"{files[0]},{files[1]}"

    def ndcg(self, model, data):
        flags = ["--metrics", "ndcg@10", "--format", "json", f"x={self.vectors(model, data)}"]
        report = self.filter("ir-eval", "--qrels", data / "qrels/test.tsv", *flags)
        return json.loads(report)["systems"][0]["metrics"]["ndcg@10"]

    def train(self, seed):
        """Trains every system with a seed; gives their names and model directories."""
        options, folder = self.options, self.folder
        flags = ["--epochs", options.epochs, "--batch-size", options.batch_size, "--learning-rate", options.learning_rate]
        flags += ["--warmup-steps", options.warmup_steps, "--precision", options.precision, "--threads", options.threads]
        flags += ["--seed", seed, "--no-duplicates"]
        shards = {"embtune": "pairs"} | ({"embtune, mined": "mined"} if options.negatives else {})
        models = {system: folder / f"{name}-{seed}" for system, name in shards.items()}
        for system, name in shards.items():
            own = ["--device", "cpu", *options.train_flags.split(), folder / f"{name}.safetensors"]
            self.filter("mnrl-train", "--model", options.model, "--out", models[system], *flags, *own)
        if options.python:
            models["sentence-transformers"] = folder / f"reference-{seed}"
            out = ["--out", models["sentence-transformers"]]
            measure.run(options.python, REFERENCE, "train", options.model, folder / "pairs.jsonl", *flags, *out)
        return models

    def run(self):
        options = self.options
        self.write_pairs()
        self.write_shard("pairs")
        if options.negatives:
            self.mine()
            self.write_shard("mined")
        sets = [options.data, *options.also]
        print("set", "system", "seed", "NDCG@10", sep="\t")
        for data in sets:
            print(data.name, "base", "-", f"{self.ndcg(self.base, data):.4f}", sep="\t", flush=True)
        reached = {}
        for seed in range(1, options.seeds + 1):
            for system, model in self.train(seed).items():
                for data in sets:
                    value = self.ndcg(model, data)
                    reached.setdefault((data.name, system), []).append(value)
                    print(data.name, system, seed, f"{value:.4f}", sep="\t", flush=True)
        for (data, system), values in reached.items():
            print(data, system, "mean", f"{statistics.mean(values):.4f}", sep="\t")
        systems = {"base": self.base, "tuned": self.folder / "pairs-1"}
        systems |= {"mined": self.folder / "mined-1"} if options.negatives else {}
        operands = [f"{system}={self.vectors(model, options.data)}" for system, model in systems.items()]
        print(self.filter("ir-eval", "--qrels", options.data / "qrels/test.tsv", *operands))


def main():
    parser = measure.parser(__doc__, "bin", "model", "threads")
    parser.add_argument("--python", help="a Python that has sentence-transformers; without it only embtune is trained")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", default="5e-5")
    parser.add_argument("--warmup-steps", type=int, default=10)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--train-flags", default="", help="more flags of mnrl-train, such as '--lora r=16'")
    parser.add_argument("--negatives", type=int, default=0, help="negatives a pair, mined with the base model")
    parser.add_argument("--mine-flags", default="--relative-margin 0.05", help="flags of mine-negatives")
    parser.add_argument("--also", type=pathlib.Path, action="append", default=[], help="another set, to measure forgetting")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Comparison(options, pathlib.Path(folder)).run()


if __name__ == "__main__":
    main()
