#!/usr/bin/env python3
"""Does the work of `embed` and `mnrl-train` with sentence-transformers, for the benchmarks and `make quality`.

Runs in the environment of `make parity`. Prints one JSON object: the tokens, padding not counted, and the seconds of the
work itself, without Python's start; the caller measures the whole process.
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
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback


def tokens(model, texts):
    limit = model.max_seq_length
    return sum(min(limit, len(ids)) for ids in model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"])


def embed(options, model):
    texts = [json.loads(line)["text"] for line in open(options.input, encoding="utf-8")]
    start = time.perf_counter()
    model.encode(texts, batch_size=32, show_progress_bar=False)
    return tokens(model, texts), time.perf_counter() - start


class Clock(TrainerCallback):
    """Starts when the epochs that warm up are over."""

    def __init__(self, untimed_epochs):
        self.untimed_epochs = untimed_epochs

    def on_epoch_begin(self, _arguments, state, _control, **_):
        if round(state.epoch) == self.untimed_epochs:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.start = time.perf_counter()


def train(options, model):
    pairs = [json.loads(line) for line in open(options.input, encoding="utf-8")]
    columns = {name: [pair[name] for pair in pairs] for name in ("anchor", "positive")}
    settings = SentenceTransformerTrainingArguments(
        output_dir="unused", num_train_epochs=options.epochs, per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate, warmup_steps=options.warmup_steps, seed=options.seed,
        data_seed=options.seed, bf16=options.precision == "bf16", save_strategy="no", report_to="none",
        disable_tqdm=True, logging_strategy="no", use_cpu=not torch.cuda.is_available(),
        batch_sampler=BatchSamplers.NO_DUPLICATES if options.no_duplicates else BatchSamplers.BATCH_SAMPLER,
    )
    if options.lora:
        from peft import LoraConfig, get_peft_model

        rank, alpha, *targets = options.lora.replace("targets=", "").split(",")
        config = LoraConfig(r=int(rank.removeprefix("r=")), lora_alpha=int(alpha.removeprefix("alpha=")), target_modules=targets)
        model[0].model = get_peft_model(model[0].model, config)
    clock = Clock(options.untimed_epochs)
    trainer = SentenceTransformerTrainer(
        model=model, args=settings, loss=MultipleNegativesRankingLoss(model), callbacks=[clock],
        # Its batch samplers take the same order whatever the seed is (sentence-transformers 6.0.1).
        train_dataset=Dataset.from_dict(columns).shuffle(seed=options.seed),
    )
    trainer.train()
    seconds = time.perf_counter() - clock.start
    if options.lora:
        model[0].model = model[0].model.merge_and_unload()
    if options.out:
        model.save_pretrained(options.out)
    count = tokens(model, columns["anchor"]) + tokens(model, columns["positive"])
    return count * (options.epochs - options.untimed_epochs), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["embed", "train"])
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--untimed-epochs", type=int, default=0, help="how many of the epochs, from the first, warm up")
    parser.add_argument("--max-length", type=int, help="tokens at which texts are cut [default: the model's]")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--warmup-steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--lora", help="as mnrl-train takes it, with r, alpha and targets in this order")
    parser.add_argument("--half", action="store_true", help="embed in 16 bits: fp16 on CUDA, bf16 on a CPU")
    parser.add_argument("--no-duplicates", action="store_true")
    parser.add_argument("--out", help="folder for the trained model")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = SentenceTransformer(options.model)
    if options.half:
        model.half() if torch.cuda.is_available() else model.bfloat16()
    if options.max_length:
        model.max_seq_length = options.max_length
    count, seconds = {"embed": embed, "train": train}[options.work](options, model)
    print(json.dumps({"tokens": count, "seconds": seconds}))


if __name__ == "__main__":
    main()
