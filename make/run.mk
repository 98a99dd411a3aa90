# The reproducible run: documents in, a fine-tuned model and a before/after report out.
#
#   make run NAME=law CORPUS=corpus.jsonl QUERIES=queries.jsonl QRELS=test.tsv MODEL=DIR
#
# Everything is in runs/NAME: the model in model/, the report in report.txt, report.json and per-query.tsv, and in
# provenance.json every command with its inputs and outputs. A stage runs again when its command or its program has changed
# or a file that it reads is newer, and so do the stages that depend on it.

# ---- settings, given on the command line -------------------------------------------------------------------------------

# CORPUS, QUERIES and QRELS are in BEIR's form. No training pair has a query of QUERIES. QRELS serves the measurement only:
# to choose positives or negatives by it would be training on the test. Without QUERIES and QRELS, the training pairs of
# the share HOLDOUT of the documents are kept for the measurement. MODEL is a sentence-transformers directory or a Hugging
# Face name.
NAME    =
CORPUS  =
QUERIES =
QRELS   =
HOLDOUT = 0.1

# LLM is the language model that writes the queries when OPENAI_API_KEY or OPENAI_BASE_URL is in the environment. Without
# either, or with an empty LLM=, they are taken from the documents themselves.
LLM                  = gpt-4o-mini
QUERIES_PER_DOCUMENT = 5

# MINE=1 gives each training pair NEGATIVES hard negatives.
MINE      =
NEGATIVES = 4

EPOCHS        = 3
BATCH_SIZE    = 32
LEARNING_RATE = 2e-5
WARMUP_STEPS  = 100
SEED          = 42
DEVICE        = auto

# More flags of mnrl-train and embed.
TRAIN_FLAGS =
EMBED_FLAGS =

ifneq ($(filter demo runs/demo/%,$(MAKECMDGOALS)),)
include make/demo.mk
endif

ifeq ($(and $(NAME),$(CORPUS)),)
$(error usage: make run NAME=law CORPUS=corpus.jsonl [QUERIES=queries.jsonl QRELS=test.tsv] [MODEL=DIR])
endif
ifneq ($(if $(QUERIES),given),$(if $(QRELS),given))
$(error QUERIES and QRELS go together)
endif

ifneq ($(and $(filter command line,$(origin LLM)),$(LLM)),)
ifeq ($(OPENAI_API_KEY)$(OPENAI_BASE_URL),)
$(error LLM=$(LLM) needs OPENAI_API_KEY or OPENAI_BASE_URL in the environment)
endif
endif

# ---- stages: NAME.command, the files that it reads (NAME.inputs) and those that it writes (NAME.outputs) ----------------------------------

run   := runs/$(NAME)
tuned := $(run)/model
base  := $(wildcard $(MODEL))# empty for a Hugging Face name

stages := $(demo_stages) pairs $(if $(MINE),base.corpus base.anchors mined) shards train \
  base.queries $(if $(MINE),,base.corpus) tuned.queries tuned.corpus report report-json

# The key stays in the environment. Replies cost money, so the journal is no output of a stage: make deletes outputs.
ask_llm := $(and $(LLM),$(OPENAI_API_KEY)$(OPENAI_BASE_URL))
generator := $(if $(ask_llm),--generator openai --llm $(LLM) --journal $(run)/replies.jsonl,--generator extractive)

pairs.inputs  = $(CORPUS)
pairs.outputs = $(run)/pairs.jsonl
pairs.command = $(BIN)/docs2queries $(generator) -n $(QUERIES_PER_DOCUMENT) --seed $(SEED) $(CORPUS) -o $(pairs.outputs)

# Held-out documents are not negatives of training pairs either.
split := $(if $(QUERIES),,--holdout $(HOLDOUT))
mined.inputs  = $(pairs.outputs) $(base.anchors.outputs) $(base.corpus.outputs) $(CORPUS)
mined.outputs = $(run)/mined.jsonl
mined.command = $(BIN)/mine-negatives --queries $(base.anchors.outputs) --corpus $(base.corpus.outputs) \
  --texts $(CORPUS) -n $(NEGATIVES) $(split) --seed $(SEED) --device $(DEVICE) $(pairs.outputs) -o $(mined.outputs)

training_pairs := $(if $(MINE),$(mined.outputs),$(pairs.outputs))
holdout := $(if $(split),$(split) --holdout-dir $(run)/heldout)
queries := $(or $(QUERIES),$(run)/heldout/queries.jsonl)
qrels   := $(or $(QRELS),$(run)/heldout/qrels.tsv)

exclude := $(if $(QUERIES),--exclude-queries $(QUERIES))
shards.inputs  = $(base) $(training_pairs) $(QUERIES)
shards.outputs = $(run)/train.safetensors $(if $(holdout),$(queries) $(qrels))
shards.command = $(BIN)/pairs2shards --model $(MODEL) $(holdout) $(exclude) --seed $(SEED) $(training_pairs) \
  -o $(run)/train.safetensors

train.inputs  = $(base) $(run)/train.safetensors
train.outputs = $(tuned) $(run)/log.jsonl
train.stdout  = $(run)/log.jsonl
train.command = $(BIN)/mnrl-train --model $(MODEL) --out $(tuned) --overwrite --epochs $(EPOCHS) \
  --batch-size $(BATCH_SIZE) --learning-rate $(LEARNING_RATE) --warmup-steps $(WARMUP_STEPS) --seed $(SEED) \
  --device $(DEVICE) --resume $(TRAIN_FLAGS) $(run)/train.safetensors

# $(call embedding,STAGE,FILES OF THE MODEL,MODEL,ROLE,TEXTS,FLAGS)
define embedding
$1.inputs  = $2 $5
$1.outputs = $(run)/$1.safetensors
$1.command = $(BIN)/embed --model $3 --role $4 --device $(DEVICE) $(EMBED_FLAGS) $6 $5 -o $(run)/$1.safetensors
endef
$(eval $(call embedding,base.anchors,$(base),$(MODEL),query,$(pairs.outputs),--field anchor --id anchor_id))
$(eval $(call embedding,base.queries,$(base),$(MODEL),query,$(queries)))
$(eval $(call embedding,base.corpus,$(base),$(MODEL),document,$(CORPUS)))
$(eval $(call embedding,tuned.queries,$(tuned),$(tuned),query,$(queries)))
$(eval $(call embedding,tuned.corpus,$(tuned),$(tuned),document,$(CORPUS)))

vectors := base.queries base.corpus tuned.queries tuned.corpus
compare = $(BIN)/ir-eval --qrels $(qrels) --seed $(SEED) --device $(DEVICE) \
  base=$(base.queries.outputs),$(base.corpus.outputs) tuned=$(tuned.queries.outputs),$(tuned.corpus.outputs)

report.inputs  = $(qrels) $(vectors:%=$(run)/%.safetensors)
report.outputs = $(run)/report.txt $(run)/per-query.tsv
report.command = $(compare) --per-query $(run)/per-query.tsv -o $(run)/report.txt

report-json.inputs  = $(report.inputs)
report-json.outputs = $(run)/report.json
report-json.command = $(compare) --format json -o $(run)/report.json

# ---- rules --------------------------------------------------------------------------------------------------------

# The stages' programs are built first, unless BIN names others.
.PHONY: programs
programs: $(if $(filter $(built),$(BIN)),build)

# Make compares the times of files, so a directory is replaced by the files in it, and the tuned model, which does not
# exist yet when make starts, by its weights.
files = $(foreach path,$1,$(if $(filter $(tuned),$(path)),$(path)/model.safetensors,$(call files_in,$(path))))
files_in = $(if $(wildcard $1/.),$(shell find -L $1 -type f),$1)

define stage_rule
$(call files,$($1.outputs)) &: $(call files,$($1.inputs)) $(run)/.flags/$1
	@make/stage.py $(run)/provenance/$1.json --inputs $($1.inputs) --outputs $($1.outputs) \
	  $(if $($1.stdout),--stdout $($1.stdout)) -- $($1.command)
endef
$(foreach stage,$(stages),$(eval $(call stage_rule,$(stage))))

# A file with a stage's command and its program's hash, rewritten only when they have changed: a new build must not leave
# old results in place, and a build that changes nothing must not cost a training.
quote = '$(subst ','\'',$1)'
$(run)/.flags/%: programs
	@mkdir -p $(@D); \
	{ printf '%s\n' $(call quote,$($*.command)); $(if $($*.version),$($*.version);) \
	  sha256sum < $(firstword $($*.command)); } > $@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(run)/provenance.json: $(call files,$(foreach stage,$(stages),$($(stage).outputs)))
	@make/stage.py $@ --assemble $(stages:%=$(run)/provenance/%.json)

run demo: $(run)/provenance.json
	@cat $(run)/report.txt
	@echo 'model: $(tuned)   provenance: $(run)/provenance.json' >&2
