# embtune: build, check, install, and the reproducible run. `make` alone lists the targets.
#
# Settings are given on the command line (make run EPOCHS=1); environment variables do not change a result.
# A target bench-X or check-X that needs a script is served by make/bench_X.py or make/check_X.py.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN    = $(built)
PREFIX = /usr/local
MODEL  = $(demo_model)
QUALITY_FLAGS = --negatives 4
CUDA_CORPUS = tests/fixtures/pipeline/corpus.jsonl

filters    := $(sort $(notdir $(wildcard bins/*)))
built      := $(or $(CARGO_TARGET_DIR),target)/release
demo_model := .deps/models/all-MiniLM-L6-v2
python     := .deps/parity/bin/python

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "make %-21s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

define needs_demo
@test -s runs/demo/pairs.jsonl || { echo 'make: the benchmark takes its texts from the demo: run `make demo` first' >&2; exit 2; }
endef

.PHONY: deps
deps: ## Fetch libtorch, ONNX Runtime and the demo's model into .deps (CUDA=1: for GPUs)
	@bash make/deps.sh

# make/deps.sh creates this last.
$(demo_model):
	@echo 'make: the native libraries are missing: run `make deps` first' >&2; exit 2

.PHONY: build
build: $(demo_model) ## Build the filters into target/release
	cargo build --release

.PHONY: demo
demo: ## Fine-tune a model on the Rust compiler's error index and measure it

.PHONY: run
run: ## Fine-tune a model on your corpus and measure it (NAME=law CORPUS=corpus.jsonl; see make/run.mk)

ifneq ($(filter demo run runs/%,$(MAKECMDGOALS)),)
include make/run.mk
endif

.PHONY: test
test: build ## Run all tests; the last line names those that were skipped
	@rm -f $(built)/skipped-tests
	cargo test --release --workspace | tee $(built)/tests.log
	@make/skipped_tests.py $(built)/tests.log $(built)/skipped-tests

.PHONY: check
check: $(demo_model) ## Check form: rustfmt, clippy, documentation, layering rules, man pages
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --no-deps --workspace
	cargo test --release -p embtune-tests --test layering
	cargo build --release
	@for filter in $(filters); do \
	  $(BIN)/$$filter --generate man | cmp -s - man/$$filter.1 || \
	    { echo "make: man/$$filter.1 differs from the output of $$filter --generate man: run \`make man\`" >&2; exit 1; }; \
	done

# libtorch is not instrumented, but the sanitizer's malloc, which is loaded first, guards its allocations. --workspace
# builds nothing twice: the dependencies have the same features as in `make test`.
asan_tests := $(basename $(notdir $(wildcard shared/torch/tests/*.rs))) group
.PHONY: check-asan
check-asan: $(demo_model) ## Test shared/torch's C++ under the address and undefined-behaviour sanitizers
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 cargo test --release --workspace \
	  --features embtune-torch/sanitize $(asan_tests:%=--test %) \
	  --config "target.'cfg(unix)'.runner = ['env', 'LD_PRELOAD=$$(c++ -print-file-name=libasan.so)']"

.PHONY: man
man: build ## Write man/*.1 from the filters' flags
	@for filter in $(filters); do \
	  $(BIN)/$$filter --generate man > man/$$filter.1.new && mv man/$$filter.1.new man/$$filter.1; \
	done

# Builds nothing, because it often runs as root. The programs continue to use this checkout's .deps.
.PHONY: install
install: ## Copy programs and man pages to PREFIX (/usr/local), under DESTDIR
	@test -x $(BIN)/embed || { echo 'make: nothing is built yet: run `make build` first' >&2; exit 2; }
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install $(filters:%=$(BIN)/%) "$(DESTDIR)$(PREFIX)/bin"
	for page in man/*.[1-9]; do \
	  install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}"; \
	done

.PHONY: parity
parity: build .deps/parity/ready ## Compare embed with sentence-transformers (MODEL=DIR; fetches 3 GB once)
	$(python) make/parity.py --bin $(BIN) --model $(MODEL)

.PHONY: parity-onnx
parity-onnx: build .deps/parity/readers/ready ## Read model.onnx with sentence-transformers, fastembed and onnx.checker (fetches 100 MB once)
	PYTHONPATH=.deps/parity/readers $(python) make/parity_onnx.py --bin $(BIN) --model $(MODEL)

.PHONY: check-torchrun
check-torchrun: .deps/parity/ready ## Train under torchrun, and let it start killed processes again (fetches 3 GB once)
	cargo test --release -p embtune-tests --test training --test scale torchrun -- --ignored

.PHONY: check-spark
check-spark: .deps/spark/ready ## Run embed in Spark's RDD.pipe, on two executors (fetches 500 MB once; needs java)
	cargo test --release -p embtune-tests --test scale spark -- --ignored

.PHONY: bench
bench: ## Time the filters that run a model (bench-models, then bench-llm)
	$(MAKE) bench-models
	$(MAKE) bench-llm

.PHONY: bench-models
bench-models: build .deps/parity/readers/ready ## Time embed and mnrl-train beside sentence-transformers and fastembed (after make demo)
	$(needs_demo)
	make/bench_models.py --bin $(BIN) --python $(python) --readers .deps/parity/readers --model $(MODEL) \
	  --texts runs/demo/data/corpus.jsonl --pairs runs/demo/pairs.jsonl

.PHONY: bench-llm
bench-llm: build ## Time docs2queries against a server that answers after 100 ms
	make/bench_llm.py --bin $(BIN)

.PHONY: bench-data
bench-data: build .deps/parity/ready ## Time pairs2shards beside the tokenizers crate, and mine-negatives (after make demo)
	$(needs_demo)
	cargo build --release -p embtune-tokenize --example bare
	$(python) make/bench_data.py --bin $(BIN) --model $(MODEL) --texts runs/demo/data/corpus.jsonl

.PHONY: bench-search
bench-search: build .deps/parity/search/ready ## Time ir-eval beside sentence-transformers' evaluator, faiss and trec_eval
	PYTHONPATH=.deps/parity/search make/bench_search.py --bin $(BIN) --python $(python)

.PHONY: quality
quality: build .deps/parity/ready ## Train embtune and sentence-transformers on DATA, a folder in BEIR's layout, and compare
	make/quality.py --bin $(BIN) --python $(python) --model $(MODEL) --data $(DATA) $(QUALITY_FLAGS)

.PHONY: check-cuda bench-cuda
bench-cuda: .deps/parity/ready
check-cuda bench-cuda: build ## Check, or time, every CUDA path against the CPU's (on a machine with a GPU)
	make/cuda.py $(@:%-cuda=%) --bin $(BIN) --python $(python) --model $(MODEL) --corpus $(CUDA_CORPUS)

.deps/parity/ready: tests/fixtures/parity/requirements.txt
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

.deps/parity/readers/ready .deps/parity/search/ready: .deps/parity/%/ready: tests/fixtures/parity/requirements-%.txt .deps/parity/ready
	rm -rf $(@D)
	.deps/parity/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(@D) --requirement $<
	touch $@

.deps/spark/ready: tests/tests/scale/requirements.txt
	@java -version 2> /dev/null || { echo 'make: java is missing: install a Java runtime, 17 or newer (Debian: default-jre-headless)' >&2; exit 2; }
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# .deps took minutes to fetch, and runs/ may have cost money, so both are kept.
.PHONY: clean
clean: ## Remove the build output
	cargo clean
