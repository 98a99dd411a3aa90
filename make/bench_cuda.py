"""The benchmarks of make/cuda.py."""
import contextlib
import functools
import json
import math
import random
import re
import statistics
import struct
from dataclasses import dataclass

# The case that the targets are for: bge-m3's shape, documents of 512 tokens, bf16.
DOCUMENT_TOKENS, QUERY_TOKENS = 512, 32
BATCH, LARGE_BATCH = 32, 1024
CASE_PAIRS, CASE_EPOCHS = 5000, 3
TARGET_EMBED_TOKENS = 550_000
TARGET_SHARE_OF_PEAK, TARGET_SECONDS, TARGET_SLOWDOWN, TARGET_RATIO = 0.45, 60, 1.35, 2
# With the tokenizer of bge_m3_standin.py a word is 1.3 to 1.5 tokens: queries of 16 to 32 tokens, and documents that are cut.
QUERY_WORDS, DOCUMENT_WORDS = (11, 21), 500
# The first epoch warms up: memory is allocated and kernels are chosen.
EPOCHS = 3
# With this learning rate random weights learn, in a few steps, to tell the pairs apart.
RATE = 1e-4


@dataclass
class Timed:
    """All epochs but the first."""

    seconds: float
    pairs: int
    tokens: int
    steps: int

    @property
    def rate(self):
        return self.pairs / self.seconds


def texts(lab):
    records = [json.loads(line) for line in lab.corpus.read_text(encoding="utf-8").splitlines()]
    return [f"{record.get('title', '')} {record['text']}".strip() for record in records]


def write_pairs(path, documents, count, words=0):
    """Writes pairs of a few words and the document that they are from, with others appended until there are `words`."""
    generator = random.Random(0)
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            found = documents[number % len(documents)].split()
            while len(found) < words:
                found += generator.choice(documents).split()
            length = generator.randint(*QUERY_WORDS)
            start = generator.randint(0, max(0, len(found) - length))
            pair = {"anchor": " ".join(found[start : start + length]), "positive": " ".join(found)}
            file.write(json.dumps(pair) + "\n")
    return path


def lengths(shard):
    """The number of tokens of every row of a shard of anchors and positives, from its cu_seqlens."""
    with open(shard, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        for column in ("anchor", "positive"):
            begin, end = header[f"{column}.cu_seqlens"]["data_offsets"]
            file.seek(8 + size + begin)
            ends = struct.unpack(f"<{(end - begin) // 8}q", file.read(end - begin))
            yield from (after - before for before, after in zip(ends, ends[1:]))


def operations(config, rows):
    """Those of a forward and backward pass: 6 for each token and weight, and 12 for each layer, unit and pair of tokens."""
    layers, hidden, inner = (config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    weights = layers * (4 * hidden * hidden + 2 * hidden * inner)
    return 6 * weights * sum(rows) + 12 * layers * hidden * sum(length**2 for length in rows)


def benches(lab):
    def target(reached):
        """Whether a target is reached, which means nothing when little is done."""
        return lab.small or reached

    def embed(model, device, precision, path):
        """Tokens/s, and the times of embed's stages."""
        flags = ("--model", model, "--device", device, "--precision", precision, "-v", "--format", "npy")
        _, error = lab.filter("embed", *flags, "--max-seq-length", DOCUMENT_TOKENS, path, "-o", "/dev/null")
        speed = int(re.search(r"(\d+) tokens/s$", error, re.MULTILINE)[1])
        return speed, re.search(r"read [\d.]+ s.*$", error, re.MULTILINE)[0]

    # On a CPU, where only this script is tested, there are no kernels for fp16.
    half = "fp32" if lab.device == "cpu" else "fp16"
    for device, precision in ((lab.device, half), (lab.device, "fp32"), ("cpu", "fp32"), ("cpu", "int8")):

        @lab.check(f"embed on {device}, {precision}, tokens/s")
        def _():
            speed, stages = embed(lab.model, device, precision, lab.corpus)
            return True, f"{speed:,}; {stages}"

    for device, precision in ((lab.device, "fp32"), (lab.device, "bf16"), ("cpu", "fp32")):

        @lab.check(f"mnrl-train on {device}, {precision}, batch {BATCH}, tokens/s of the later half of the steps")
        def _():
            flags = ("--epochs", 1, "--warmup-steps", 0, "--precision", precision)
            steps = list(lab.steps(lab.model, lab.shard(lab.model, lab.pairs), *flags, device=device))
            later = steps[len(steps) // 2 :]
            seconds = sum(step["tokens"] / step["tokens_per_sec"] for step in later)
            return True, f"{sum(step['tokens'] for step in later) / seconds:,.0f}"

    batch, large_batch = (4, 16) if lab.small else (BATCH, LARGE_BATCH)
    pairs = {
        "long": write_pairs(lab.new("long.jsonl"), texts(lab), large_batch, DOCUMENT_WORDS),
        "mixed": write_pairs(lab.new("mixed.jsonl"), texts(lab), large_batch),
    }

    @functools.cache
    def standin():
        path = lab.new("standin")
        lab.python("bge_m3_standin.py", path, "--words", f"{lab.model}/vocab.txt", *(["--layers", 1] if lab.small else []))
        return path

    @functools.cache
    def peak():
        work = ["--size", 512, "--products", 3] if lab.small else []
        return json.loads(lab.python("matrix_peak.py", "--device", lab.device, *work))["tflops"]

    def shard(name):
        cut = ("--query-max-length", QUERY_TOKENS, "--document-max-length", DOCUMENT_TOKENS)
        return lab.shard(standin(), pairs[name], *cut)

    @functools.cache
    def train(name, size, *flags):
        """Times a training by this script's clock. The speed of one that does not learn the pairs means nothing."""
        rows = list(lengths(shard(name)))
        steps = math.ceil(len(rows) / 2 / size)
        flags = ("--epochs", EPOCHS, "--batch-size", size, "--learning-rate", RATE, "--warmup-steps", 0, *flags)
        clocks, losses = [], []
        with contextlib.closing(lab.steps(standin(), shard(name), "--precision", "bf16", *flags)) as reports:
            for report in reports:
                clocks.append(report["clock"])
                losses.append(report["loss"])
                if len(clocks) == EPOCHS * steps:
                    break  # saving the model is not timed, so it need not be done
        first, last = (statistics.mean(epoch) for epoch in (losses[:steps], losses[-steps:]))
        if not last < first:
            raise RuntimeError(f"the loss of the pairs was {first:.4f} in the first epoch and is {last:.4f} in the last")
        timed = EPOCHS - 1
        return Timed(clocks[-1] - clocks[steps - 1], timed * len(rows) // 2, timed * sum(rows), timed * steps)

    def documents(name):
        """The positives of some pairs, as documents."""
        path = lab.new(f"{name}-documents.jsonl")
        with open(pairs[name], encoding="utf-8") as lines:
            records = ({"_id": str(number), "text": json.loads(line)["positive"]} for number, line in enumerate(lines))
            path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    @lab.check(f"embed, bge-m3's shape, {DOCUMENT_TOKENS} tokens, fp16, tokens/s (target {TARGET_EMBED_TOKENS:,})")
    def _():
        speed, stages = embed(standin(), lab.device, half, documents("long"))
        return target(speed >= TARGET_EMBED_TOKENS), f"{speed:,}; {stages}"

    @lab.check(f"embed on the corpus's own lengths, fp16, over sentence-transformers' speed (target {TARGET_RATIO})")
    def _():
        path = documents("mixed")
        flags = ["--max-length", DOCUMENT_TOKENS, "--threads", lab.threads, "--half"]
        out = lab.python("reference_sentence_transformers.py", "embed", standin(), path, *flags)
        theirs = json.loads(out.splitlines()[-1])
        speed, their_speed = embed(standin(), lab.device, half, path)[0], theirs["tokens"] / theirs["seconds"]
        return target(speed / their_speed >= TARGET_RATIO), f"{speed / their_speed:.2f}, {speed:,} to {their_speed:,.0f}"

    @lab.check("peak of a bf16 matrix product, TFLOP/s")
    def _():
        return True, f"{peak():,.3g}"

    def share_of_peak(*flags):
        timed = train("long", batch, *flags)
        config = json.loads((standin() / "config.json").read_text(encoding="utf-8"))
        flops = operations(config, list(lengths(shard("long")))) * (EPOCHS - 1) / timed.seconds
        return flops / 1e12 / peak(), f"{timed.tokens / timed.seconds:,.0f} tokens/s, {timed.steps} steps"

    title = f"bge-m3's shape, documents of {DOCUMENT_TOKENS} tokens, bf16, batch {batch}"

    @lab.check(f"{title}, share of that peak (target {TARGET_SHARE_OF_PEAK:.0%})")
    def _():
        share, figure = share_of_peak()
        return target(share >= TARGET_SHARE_OF_PEAK), f"{share:.1%}, {figure}"

    @lab.check(f"{title}, share of that peak, with --batch-tokens 65536")
    def _():
        share, figure = share_of_peak("--batch-tokens", 65536)
        return True, f"{share:.1%}, {figure}"

    @lab.check(f"{title}, seconds for {CASE_PAIRS:,} pairs x {CASE_EPOCHS} epochs by that (target {TARGET_SECONDS})")
    def _():
        seconds = CASE_PAIRS * CASE_EPOCHS / train("long", batch).rate
        return target(seconds <= TARGET_SECONDS), f"{seconds:.1f}"

    @lab.check(f"time of a pair in batches of {large_batch:,} over that in {batch} (target {TARGET_SLOWDOWN})")
    def _():
        slowdown = train("long", batch).rate / train("long", large_batch).rate
        return target(slowdown <= TARGET_SLOWDOWN), f"{slowdown:.2f}, {train('long', large_batch).steps} steps"

    @lab.check(f"the same model on the corpus's own lengths, over sentence-transformers' speed (target {TARGET_RATIO})")
    def _():
        flags = ["--batch-size", batch, "--learning-rate", RATE, "--precision", "bf16", "--max-length", DOCUMENT_TOKENS]
        flags += ["--epochs", EPOCHS, "--untimed-epochs", 1, "--threads", lab.threads]
        out = lab.python("reference_sentence_transformers.py", "train", standin(), pairs["mixed"], *flags)
        theirs = json.loads(out.splitlines()[-1])
        mine = train("mixed", batch)
        speed, their_speed = mine.tokens / mine.seconds, theirs["tokens"] / theirs["seconds"]
        ratio = speed / their_speed
        return target(ratio >= TARGET_RATIO), f"{ratio:.2f}, {speed:,.0f} to {their_speed:,.0f} tokens/s"
