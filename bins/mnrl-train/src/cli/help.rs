//! The sections of `--help` that are not flags.

/// At the end of `--help`; these become the sections of the man page.
pub(super) const SECTIONS: &str = "\
Loss:
  Formulas and defaults are those of sentence-transformers. mnrl, symmetric and gist compare each
  pair with the whole batch. triplet and margin-mse compare a pair's anchor and positive with each
  negative of the pair, contrastive and cosent the anchor with each document of the pair. A pair may
  have any number of negatives. cosent and margin-mse need the shard's scores, contrastive reads
  them as labels, gist needs its guide vectors.

False negatives:
  Pairs with the same anchor text are one query, and the positives of all of them are its answers. A
  document with the query's text, or with the text, document id or group of one of its answers, is
  not used as a negative of the query. Two queries that share an answer in this sense are not
  negatives of each other, and neither are their positives. This applies in every direction, to the
  negatives of triplet, and without labels to those of contrastive. The log counts excluded texts as
  masked; with --no-mask there are none.

Sets:
  Each operand is a set. A directory that pairs2shards --out wrote is one set, and so is a 'quoted
  pattern' of shards. A batch comes from one set, unless --batch-from mixed is given, and the sets
  take turns at random, each as often as it has batches. With --weights 1,0.5,2 an epoch sees every
  pair of the first set once, a random half of the second set (the other half follows in the next
  epoch), and the pairs of the third set twice. The last batch of a set may be smaller.

Prompts:
  The prompts that pairs2shards put before queries and documents, the base model's or those of
  --query-prompt and --document-prompt, become the trained model's: the dev set is evaluated with
  them, they are in the saved config_sentence_transformers.json, where embed --role and
  sentence-transformers' encode_query and encode_document find them, and the model card names them.
  If they differ from the base model's, a notice says so. Shards with different prompts are refused,
  because a model has one prompt for each role.

Metrics:
  Stdout carries one JSON object per step: step, epoch, loss, learning_rate, grad_norm (before
  clipping), tokens, tokens_per_sec, masked, memory_mb (the peak so far) and, with several
  processes, sent_bytes (what each has sent to others in the step). An evaluation on the dev set is
  a separate object: step, the metric's name with the score, best, seconds. If the reader of stdout
  exits, the training continues. It also continues if the disk is full: a warning says where the log
  ends, the model is saved, and the exit code is 2. --plan prints a table instead, and does not
  train.

  The final loss is the mean over the pairs of the last epoch. A batch with nothing to compare, such
  as a single last pair or pairs that are all masked, has a loss of 0 whatever the weights are. It
  is not part of the final loss, and stderr reports how many there were. If no step has a negative,
  nothing is learnt, which is reported after the first epoch and is an error at the end.

Output directory:
  A sentence-transformers directory with weights, model.onnx and a model card; with --lora also
  the folder adapter, in PEFT's format. It is complete when it appears, at the end of the training.
  A mount point, or another directory that cannot be replaced in one step, is filled at the end; a
  notice says so before the training. If the system refuses at the end, the finished directory is
  kept, and the message names it. Files that the training reads or writes must not be inside it.
  With a dev set it has the weights with the best score; a warning says so if those are the base
  model's.

  Before it appears, it is opened again with the code of embed, by ONNX Runtime on the CPU: every
  tensor must read back as it was, some rows of the shards (the shortest, one from the middle, the
  longest) and 16 queries and documents of the dev set must get the network's vectors, and the score
  on the dev set must be the one that chose the weights. A training on a GPU skips the score if it
  would take the CPU more than 5 minutes. A difference is an error, exit code 2, and the trained
  weights are kept in a checkpoint, as they are if the disk fails. Weights that are still the base
  model's are an error unless --learning-rate is 0 or the base model has the best score on the dev
  set. If ONNX Runtime is not installed, libtorch opens the directory, with a warning. Weights are
  read from model.safetensors or pytorch_model.bin, from which only tensors are read: nothing in it
  is executed.

Checkpoints:
  Each is one file in OUT.checkpoints, or in the folder that --checkpoint-dir names: weights,
  moments, position, random state. They are removed when the model is saved. SIGINT, SIGTERM and
  SIGHUP let the current step finish, save a checkpoint and exit with 130, 143 or 129, even without
  --checkpoint-every; a second one of them ends the training at once. --resume continues from the
  newest checkpoint; on the CPU, with the same --threads, the result has the same bytes as without
  the interruption. Different settings are refused.

Several processes:
  With WORLD_SIZE above 1 in the environment, that many processes train one model, the same as one
  process would, except for rounding: --batch-size is that of all processes together, each of them
  computes some rows of every batch, every row is compared with all others, and neither the loss nor
  the learning rate changes. RANK is the number of the process, MASTER_ADDR and MASTER_PORT say
  where they meet; torchrun sets all of them. For srun, WORLD_SIZE=$SLURM_NTASKS and the address are
  enough. All processes get the same flags, model and shards; each reads the lengths and hashes of
  all rows, and the tokens of its own rows, which it checks while reading: a damaged copy is named.
  Only the first process writes the model, the log and checkpoints, and evaluates on the dev set.
  They communicate through Gloo, whose network interface GLOO_SOCKET_IFNAME names. On CUDA each
  process uses the GPU of its LOCAL_RANK, and vectors and gradients go from GPU to GPU by NCCL. If
  NCCL does not run, as with two processes on one GPU, a warning says why, and they go through the
  CPU.

  In a step each of N processes sends 2 (N - 1) / N times the bytes of the gradient (4 for each
  trained parameter), which is summed in a ring while the backward pass still computes lower layers;
  and N - 1 times the bytes of its rows' vectors (4 for each element). The log has the sum as
  sent_bytes: with all-MiniLM-L6-v2, two processes and batches of 32, 90 MB, all but 50 kB of them
  gradients. With WORLD_SIZE set, --plan reports it and the memory of each process, without waiting
  for the other processes. LOCAL_WORLD_SIZE processes share the machine's memory.

  The cores of a machine are divided among its processes unless --threads says how many each has. If
  a process fails, is killed or hangs, all of them end within --dist-timeout, with a message that
  names it; --resume continues from the last checkpoint, also with another number of processes. A
  signal to one of them ends all of them.

Memory:
  Weights, gradients and two moments: 16 bytes for each parameter that is trained, 4 for each that
  is not (--freeze, --lora). The backward pass needs about 110 kB per token with all-MiniLM-L6-v2 in
  fp32, half of that in bf16; up to --memory of it is kept. The rest of a batch is computed a second
  time, --batch-tokens at a time, dropout included, so that any --batch-size fits. Shards are
  mapped. At the end the saved model is loaded once more, with a dev set once per thread (models of
  less than 512 MB). --plan estimates the memory of a training.

Examples:
  Three epochs, with the log in a file:
      mnrl-train --model BASE --out TUNED train.safetensors > log.jsonl
  At the end of a pipe:
      pairs2shards --model BASE pairs.jsonl | mnrl-train --model BASE --out TUNED > log.jsonl
  The best of an evaluation every 100 steps, protected against power cuts:
      mnrl-train --model BASE --out TUNED --dev-queries dev/queries.jsonl \\
        --dev-corpus corpus.jsonl --dev-qrels dev/qrels.tsv --eval-every 100 --patience 5 \\
        --checkpoint-every 100 --resume train.safetensors
  Two processes on this machine:
      torchrun --no-python --nproc-per-node 2 \\
        mnrl-train --model BASE --out TUNED train.safetensors > log.jsonl
  Eight machines under Slurm:
      export WORLD_SIZE=$SLURM_NTASKS MASTER_ADDR=$(hostname) MASTER_PORT=29500
      srun --ntasks-per-node 1 mnrl-train --model BASE --out TUNED \\
        --checkpoint-every 500 --resume train.safetensors > log.jsonl
  1,024 negatives per pair, in the memory of a laptop:
      mnrl-train --model BASE --out TUNED --batch-size 1024 --precision bf16 --memory 1G \\
        train.safetensors";
