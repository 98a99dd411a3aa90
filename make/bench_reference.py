#!/usr/bin/env python3
"""The same work as `mnrl-train` and `embed`, done by sentence-transformers: the other side of `make bench`.

Runs in the environment of `make parity`. Prints one JSON object: real tokens (padding not counted) and seconds of
the work itself, without the start of Python; the caller measures the whole process.
"""
import argparse
import json
import time

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.losses import MultipleNegativesRankingLoss


def tokens(model, texts):
    limit = model.max_seq_length
    return sum(min(limit, len(ids)) for ids in model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"])


def embed(model, path):
    texts = [json.loads(line)["text"] for line in open(path, encoding="utf-8")]
    start = time.perf_counter()
    model.encode(texts, batch_size=32, show_progress_bar=False)
    return tokens(model, texts), time.perf_counter() - start


def train(model, path):
    pairs = [json.loads(line) for line in open(path, encoding="utf-8")]
    columns = {name: [pair[name] for pair in pairs] for name in ("anchor", "positive")}
    arguments = SentenceTransformerTrainingArguments(
        output_dir="unused", num_train_epochs=1, per_device_train_batch_size=32, learning_rate=2e-5, seed=42,
        save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no", use_cpu=not torch.cuda.is_available(),
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=MultipleNegativesRankingLoss(model)
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    return tokens(model, columns["anchor"]) + tokens(model, columns["positive"]), seconds


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("work", choices=["embed", "train"])
parser.add_argument("model")
parser.add_argument("input")
parser.add_argument("--threads", type=int, required=True)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
count, seconds = {"embed": embed, "train": train}[arguments.work](
    SentenceTransformer(arguments.model), arguments.input
)
print(json.dumps({"tokens": count, "seconds": seconds}))
