//! The sections of the manual after the flags.

pub(super) const SECTIONS: &str = "\
Models:
  embed computes BERT, RoBERTa, XLM-RoBERTa, CamemBERT, MPNet, DistilBERT, ModernBERT, Qwen3,
  Gemma 3, NomicBERT, GTE, T5 encoders and jina-embeddings-v3 from their weights. A model of another
  architecture, or one whose weights it cannot read, runs through the ONNX file of its directory: model.onnx, else onnx/model.onnx. Files of other names usually
  have another precision and are ignored. Pooling, Dense modules, normalisation, prompts and length
  come from the directory in this case, too. The file must take input_ids and optionally
  attention_mask, token_type_ids and position_ids, int64 or int32 [batch, sequence], and return
  last_hidden_state or token_embeddings, float [batch, sequence, hidden], or sentence_embedding
  alone. Its precision is fixed by its export, and --precision cannot change it. If its layers are
  quantised dynamically, a text's vector depends on the other texts of its batch. -v names the file.

Ids:
  A file of vectors has one vector for each id. A record with the id and the text of an earlier one,
  such as a query with several positives in a file of pairs, is written once, and counted; an id
  with two different texts is an error that names both lines. JSON Lines have all records, and so
  has an array on stdout, whose ids are not written. With --shard, records with the same id may be
  in different files, which cannot be read together.

Files:
  The extension of the output determines its format: .jsonl, .safetensors or .npy. Any other name
  needs --format, and one that contradicts --format is an error. Beside FILE.npy are FILE.ids, the
  ids, one per line, and with --dtype int8 FILE.scales, also an array. ir-eval, mine-negatives,
  pairs2shards and --verify read every format.

Empty texts:
  If the tokenizer adds no special tokens, a text may have no token at all. Its vector is zeros, and
  a message at the end counts such texts.

Long texts:
  --on-long decides what to do with a text that is longer than --max-seq-length. truncate embeds its
  beginning. error treats the record as unusable. chunk divides it into chunks of as many tokens as
  fit, each with the prompt and the special tokens; a title, and with --field all fields but the
  last, come before each chunk, too. --chunks mean gives the text one vector: the mean of its
  chunks' vectors, weighted with their numbers of tokens (and scaled to length 1 if the model's
  vectors are). --chunks separate writes a record for each chunk, with the id ID#0, ID#1 and so on.
  In it, the field that was divided has the chunk's text, and these fields are added: group (the
  text's id, if there is no group), chunk (from 0), start and end (in characters of the whole field,
  so that Python's field[start:end] is the chunk). A text that fits keeps its record and its id.

Numbers:
  f32, f16 and bf16 are floats; JSON has as many digits as are needed to read the same float again.
  int8 is a byte for each element and a scale for each vector: x = q s with s = max |x| / 127; q is
  x / s, rounded half to even, and the scale of zeros is 0. The scales are a tensor in safetensors,
  a file beside an array, and embedding_scale in JSON, where embedding_dtype names the type. ubinary
  is a bit for each element, 1 if it is positive, eight in a byte, the first one in the highest
  bit, like sentence-transformers' ubinary and numpy.packbits. ir-eval and mine-negatives read all
  types, bits as 1 and -1; queries may have another type than documents.

Verification:
  --verify embeds the input and compares each vector with that of the same id in REFERENCE, which
  any program may have written (see embtune-formats(5)); --dtype is applied first. The output is a
  table: the 20 lowest cosines, lowest first, then lines that begin with # for the lowest, the mean
  and the counts. The exit code is 1 if a cosine is below --min-cosine, or one side lacks an id.

Interruptions:
  With --resume, the vectors of each window are appended to .NAME.part beside the output NAME as
  soon as they are computed, so that they survive a crash at any moment. Every ten seconds they are
  forced to the disk, so that a power failure costs no more than that. The same command then
  continues the run: nothing is computed twice, and if the input is files, the output has the same
  bytes as without the interruption. Model, prompt, length, precision, shard and input must be the
  same; a difference is an error that names it. The output's format and number format may change,
  and the input may have grown at its end. A run that reads stdin can be continued if it reads the
  same data again; a run that writes to stdout cannot. The file takes 4 bytes per element and is
  removed when the output is complete. A killed run also leaves its unfinished output, .NAME.*.tmp,
  which may be deleted.

Shards:
  --shard 2/4 takes the 2nd, 6th, 10th record and so on. Unusable records are counted, too, and
  exactly one shard reports each. A job array that counts from 0 adds 1. The shards together have
  all records; for JSON Lines, paste -d '\\n' of all shards in order restores the order of the
  input, with empty lines at the end where a shard is shorter.

Cache:
  --cache stores each vector by the model's fingerprint and the XXH3 (128 bits) of text, prompt,
  length and precision, in one redb database for each model. It does not depend on --dtype,
  --truncate-dim and --format: vectors are stored as the model returns them. Processes may share the
  folder. A database never shrinks; delete the file to empty it. A damaged one is an error that
  names it.

Memory:
  The model, and up to four windows. A window has at most 4,096 records and 16 MB of lines, and on a
  CPU no more than about a minute of work. A text of many megabytes is tokenised in pieces, which
  take about 60 MB per thread. The vectors of a binary format are in an unnamed temporary file
  beside the output (in TMPDIR for stdout) until the end, because the header, which comes first,
  contains their number; 40 bytes per id are kept in memory to recognise ids that are repeated.

Examples:
  Embed a corpus into a file of vectors:
      embed --model BASE --role document corpus.jsonl -o corpus.safetensors
  One line of text, as JSON:
      echo 'notice period' | embed --model BASE --role query --text
  The chunks of long texts, for a vector database:
      embed --model BASE --role document --on-long chunk --chunks separate corpus.jsonl
  A quarter of the elements, one bit each:
      embed --model BASE --role document --truncate-dim 96 --dtype ubinary corpus.jsonl \\
        -o corpus.safetensors
  Files, one record each:
      find . -name '*.txt' -exec cat {} \\; -printf '\\0' |
        embed --model BASE --role document --text --null
  Read vectors in Python:
      safetensors.numpy.load_file('corpus.safetensors')['embeddings']";
