//! The flags of embed.

mod compute;
mod flow;
mod input;
mod long;
mod output;
mod text;
mod verify;

use clap::Parser;
use embtune_cli::{CommonArgs, ModelArgs};

pub(crate) use compute::ComputeArgs;
pub(crate) use flow::FlowArgs;
pub(crate) use input::InputArgs;
pub(crate) use long::{Chunks, LongArgs, OnLong};
pub(crate) use output::OutputArgs;
pub(crate) use text::TextArgs;
pub(crate) use verify::VerifyArgs;

const SECTIONS: &str = "\
Models:
  embed computes BERT, RoBERTa, XLM-RoBERTa, MPNet, DistilBERT, ModernBERT, NomicBERT and Qwen3 from
  their weights. A model of another architecture, or one without weights that it reads, runs through
  the ONNX file of its directory: model.onnx, else onnx/model.onnx; files of other names, which are
  other precisions, are not taken. Pooling, Dense modules, normalisation, prompts and length come
  from the directory here, too. The file takes input_ids and perhaps attention_mask, token_type_ids
  and position_ids, int64 or int32 [batch, sequence], and gives last_hidden_state or
  token_embeddings, float [batch, sequence, hidden], or sentence_embedding alone. It computes in what
  it was exported in, and --precision cannot change that. If its layers are quantised dynamically, a
  text's vector depends on the texts beside it. -v names the file.

Ids:
  A file of vectors has one for each id. A record with the id and the text of an earlier one, such as
  a query with several positives in a file of pairs, is written once, and counted; an id of another
  text is refused, with both lines. JSON Lines have all records, and so has an array on stdout, whose
  ids nobody knows. With --shard, an id that comes again may be in several files, which cannot be
  read as one.

Files:
  What the output's name ends in says its form: .jsonl, .safetensors or .npy. A name that ends in
  anything else needs --format, and one that says another form than --format is refused. Beside
  FILE.npy are FILE.ids, the ids, one a line, and with --dtype int8 FILE.scales, an array, too.
  ir-eval, mine-negatives, pairs2shards and --verify read every form.

Empty texts:
  A text without a token, of a tokenizer that adds none of its own, has a vector of zeros; the end
  of the run says how many there are.

Long texts:
  --on-long says what becomes of a text that is longer than --max-seq-length. truncate embeds its
  beginning. error takes it for a record that cannot be used. chunk divides it into chunks of as
  many tokens as fit, each with the prompt and the special tokens; a title, and with --field all
  fields but the last, stand before each chunk, too. --chunks mean gives the text one vector: the
  mean of its chunks' vectors, weighted with their numbers of tokens (of length 1, if the model's
  are). --chunks separate writes a record for each chunk, with the id ID#0, ID#1 and so on. There
  the field that was divided holds the chunk's text, and these fields are added: group (the text's
  id, if there is no group), chunk (from 0), start and end (in characters of the whole field, so
  that Python's field[start:end] is the chunk). A text that fits keeps its record and its id.

Numbers:
  f32, f16 and bf16 are floats; in JSON they have as many digits as bring the same float back. int8
  is a byte for each element and a scale for each vector: x = q s with s = max |x| / 127; q is x /
  s rounded, halves to even, and the scale of zeros is 0. The scales are a tensor of safetensors,
  the file beside an array, and embedding_scale in JSON, where embedding_dtype says what the numbers
  are. ubinary is a bit for each element, 1 if it is above 0, eight in a byte, the first one
  highest: sentence-transformers' ubinary, and numpy.packbits. ir-eval and mine-negatives read all
  types, bits as 1 and -1; the type of queries may differ from that of documents.

Verification:
  --verify embeds the input and compares each vector with that of the same id in REFERENCE, which
  any program may have made (see embtune-formats(5)); --dtype is applied first. The output is a
  table: the 20 lowest cosines, lowest first, then lines that begin with # for the lowest, the mean
  and the counts. Exit code 1: a cosine is below --min-cosine, or one side lacks an id.

Interruptions:
  With --resume, what the model has computed of each window is added to .NAME.part beside the output
  NAME at once, which survives the end of the process at any moment; it is forced to the disk with
  the first window after every ten seconds, which bounds what a power cut costs. The same command
  then goes on behind it: nothing that was kept is computed again, and from files the output has the
  same bytes as without the break. Model, prompt, length, precision, shard and input must be what
  they were; a difference is named and refused. The form of the output and its numbers may change,
  and the input may have grown at its end. Standard input can be resumed when the same data comes
  again; standard output cannot. The file takes 4 bytes an element and is removed when the output is
  whole. A killed run leaves its unfinished output, .NAME.*.tmp, which nothing needs.

Shards:
  --shard 2/4 takes the 2nd, 6th, 10th record and so on. Bad records count, too, and one shard
  reports each. A job array that counts from 0 adds 1. The shards together have the records of the
  whole; of JSON Lines, paste -d '\\n' of all shards in order brings back the order of the input,
  with empty lines at the end where a shard is shorter.

Cache:
  --cache keeps each vector under the model's fingerprint and the XXH3 (128 bits) of text, prompt,
  length and precision, in one redb database a model. --dtype, --truncate-dim and --format do not
  matter: the vector is kept as the model gives it. Processes may share the folder. A database never
  shrinks; remove the file to empty it. A damaged one is an error that names it.

Memory:
  The model, and a window of 4,096 records, 16 MB of lines or, on a CPU, what takes about a minute,
  whichever is least, at each of four stages. A text of many megabytes is tokenised in pieces, which
  take about 60 MB a thread. Vectors of a binary format wait in an unnamed temporary file beside the
  output (in TMPDIR for stdout), because the header, which comes first, holds their number; 40 bytes
  an id are kept to find the ids that come again.

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

/// Turn texts into vectors
///
/// Reads documents or queries as JSON Lines ({"_id", "title"?, "text"}, as BEIR has them) or lines of text, and
/// writes one vector for each, in the same order. Pooling, normalisation, prompts and the length at which texts are
/// cut come from the model directory. A document's title is put before its text.
#[derive(Debug, Parser)]
#[command(name = "embed", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) text: TextArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) long: LongArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) flow: FlowArgs,

    #[command(flatten)]
    pub(crate) verify: VerifyArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli, "window");
