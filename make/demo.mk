# `make demo` is a run (make/run.mk) on text that is there anyway: the error index of the Rust toolchain.

NAME    = demo
CORPUS  = runs/demo/data/corpus.jsonl
QUERIES = runs/demo/data/queries.jsonl
QRELS   = runs/demo/data/qrels.tsv

# Some 500 documents make fewer than 100 steps of training: larger steps and a shorter warm-up than for a real corpus.
# One epoch takes two minutes on two cores and most of the gain: NDCG@10 from 0.714 to 0.787, two epochs to 0.792.
EPOCHS        = 1
BATCH_SIZE    = 64
LEARNING_RATE = 5e-5
WARMUP_STEPS  = 5

demo_stages  = data
data.outputs = $(CORPUS) $(QUERIES) $(QRELS)
data.command = make/error-index.py runs/demo/data
data.version = $${RUSTC:-rustc} --version # another toolchain, another corpus
