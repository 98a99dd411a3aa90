//! The dev set: queries, documents and judgments, on which the current weights are evaluated.

#[cfg(test)]
mod tests;
mod texts;

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::num::{NonZero, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;
use embtune_cli::{Input, Session};
use embtune_metrics::{Metric, TopK, mean};
use embtune_model::{ModelDir, Role};
use embtune_records::{JudgedQuery, Judgments};
use embtune_torch::tch::{Device, Tensor, no_grad};
use embtune_torch::{TorchError, normalize};
use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

pub(crate) use texts::TextFile;
pub(crate) use texts::Texts;

/// Documents in one matrix product: enough that the product dominates the cost.
const CORPUS_BLOCK: usize = 16_384;
/// Queries in one matrix product; with [`CORPUS_BLOCK`] the scores take 32 MiB.
const QUERY_BLOCK: i64 = 512;

/// Computes vectors of rows of token ids: f32 `[rows, hidden]` on any device, without gradients.
pub(crate) type Encode<'a> = dyn FnMut(&[Vec<u32>]) -> anyhow::Result<Tensor> + 'a;

/// Queries and documents as token ids, and the judgments.
pub(crate) struct DevSet {
    /// The judged queries.
    pub(crate) queries: Texts,
    pub(crate) corpus: Texts,
    judgments: Judgments,
    /// The metric, such as `ndcg@10`.
    pub(crate) metric: Metric,
    normalizes: bool,
}

/// The dev set, and how often the model is evaluated on it.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Dev set")]
pub(crate) struct DevArgs {
    /// Queries of a dev set (see --help), which chooses the saved model
    ///
    /// JSON Lines in BEIR's form; --dev-corpus and --dev-qrels name the other files. The model with the best score is
    /// saved. Texts are embedded as `embed --role query` and `--role document` do, with the prompts of the shards, and
    /// scores are those of `ir-eval`.
    #[serde(skip)]
    #[arg(long, value_name = "FILE", requires_all = ["dev_corpus", "dev_qrels"])]
    pub(crate) dev_queries: Option<PathBuf>,

    /// Documents in which the dev set's queries are searched, as JSON Lines (BEIR's form)
    #[serde(skip)]
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_qrels"], hide_short_help = true)]
    pub(crate) dev_corpus: Option<PathBuf>,

    /// Relevant documents of the dev set's queries, in BEIR's or TREC's form
    #[serde(skip)]
    #[arg(long, value_name = "FILE", requires_all = ["dev_queries", "dev_corpus"], hide_short_help = true)]
    pub(crate) dev_qrels: Option<PathBuf>,

    /// Steps between two evaluations [default: an epoch]
    #[arg(long, value_name = "STEPS", requires = "dev_queries", hide_short_help = true)]
    pub(crate) eval_every: Option<NonZero<u64>>,

    /// Metric that decides which model is best: ndcg, recall, mrr, precision, map or accuracy, at a rank
    #[serde(serialize_with = "as_text")]
    #[arg(long, value_name = "METRIC", default_value = "ndcg@10", requires = "dev_queries", hide_short_help = true)]
    pub(crate) metric: Metric,

    /// Stop after this many evaluations in a row without a better score
    #[arg(long, value_name = "NUM", requires = "dev_queries", hide_short_help = true)]
    pub(crate) patience: Option<NonZero<u32>>,
}

fn as_text<S: Serializer>(metric: &Metric, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(metric)
}

/// The opened files of a dev set.
struct Files<R> {
    queries: TextFile<R>,
    corpus: TextFile<R>,
    qrels: TextFile<R>,
}

/// How texts are encoded and compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    /// Whether vectors are compared by cosine, otherwise by dot product.
    pub(crate) cosine: bool,
    /// Tokens of the rows that are encoded together.
    pub(crate) batch_tokens: usize,
    /// CPU threads of the tokenizer.
    pub(crate) threads: usize,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Score {
    /// The mean over the queries.
    pub(crate) mean: f64,
    /// The value of every query with a relevant document, in the order of the judgments.
    pub(crate) per_query: Vec<f64>,
}

impl DevSet {
    /// Reads and tokenises the dev set; `None` if the flags name none.
    ///
    /// Token ids stay in memory, 4 bytes each; texts and document vectors do not.
    ///
    /// # Errors
    /// Files that do not belong together, records and judgments that cannot be read, duplicate ids.
    pub(crate) fn open(
        args: &DevArgs,
        encoding: Encoding,
        model: &ModelDir,
        session: &Session,
    ) -> anyhow::Result<Option<Self>> {
        let open = |path: &Path| -> anyhow::Result<TextFile<Input>> {
            let reader = session.input(path)?;
            Ok(TextFile { name: reader.name.clone(), reader })
        };
        let (Some(queries), Some(corpus), Some(qrels)) = (&args.dev_queries, &args.dev_corpus, &args.dev_qrels) else {
            return Ok(None);
        };
        let files = Files { queries: open(queries)?, corpus: open(corpus)?, qrels: open(qrels)? };
        Self::read(files, model, args.metric, encoding, |warning| session.warn(warning)).map(Some)
    }

    fn read<R: BufRead>(
        files: Files<R>,
        model: &ModelDir,
        metric: Metric,
        Encoding { cosine, batch_tokens, threads }: Encoding,
        warn: impl Fn(String),
    ) -> anyhow::Result<Self> {
        let Files { queries, corpus, qrels } = files;
        let judgments = Judgments::read(&qrels.name, qrels.reader, |note| warn(format!("dev set: {note}")))?;
        let judged: HashSet<&str> = judgments.queries().iter().map(|query| &*query.id).collect();
        let texts = |file: TextFile<R>, role, wanted: &dyn Fn(&str) -> bool| {
            Texts::read(file, model, role, batch_tokens, threads, wanted)
        };
        let queries = texts(queries, Role::Query, &|id| judged.contains(id))?;
        anyhow::ensure!(
            queries.len() > 0,
            "{}: contains no query of {}\nhint: a query must have the same id in both files",
            queries.name,
            qrels.name
        );
        let corpus = texts(corpus, Role::Document, &|_| true)?;
        for texts in [&queries, &corpus].into_iter().filter(|texts| texts.empty() > 0) {
            let (empty, all, name) = (texts.empty(), texts.len(), &texts.name);
            let have = if empty == 1 { "has" } else { "have" };
            warn(format!(
                "dev set: {empty} of {all} texts of {name} {have} no token; a vector of zeros matches nothing"
            ));
        }
        if let Some(dangling) = judgments.dangling(&corpus.name, corpus.ids())? {
            warn(format!("dev set: {dangling}"));
        }
        let found: HashSet<&str> = queries.ids().collect();
        if let Some(missing) = judgments.missing(|id| found.contains(id)) {
            warn(format!("dev set: {missing}; missing queries count as 0"));
        }
        Ok(Self { queries, corpus, metric, normalizes: cosine || model.normalizes(), judgments })
    }

    /// Identifies the set: XXH3, 128 bits in hexadecimal, of its token ids, its judgments and all their ids.
    ///
    /// The scores of different sets cannot be compared, so a training must resume with the set that it began with.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = Xxh3::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        for texts in [&self.queries, &self.corpus] {
            for (range, rows) in texts.batches() {
                for (index, row) in range.zip(rows) {
                    let tokens: Vec<u8> = row.iter().flat_map(|token| token.to_le_bytes()).collect();
                    add(texts.id(index).as_bytes());
                    add(&tokens);
                }
            }
        }
        for query in self.judgments.queries() {
            add(query.id.as_bytes());
            query.ideal.iter().for_each(|relevance| add(&relevance.to_le_bytes()));
        }
        for (query, document) in self.judgments.relevant() {
            add(query.as_bytes());
            add(document.as_bytes());
        }
        format!("{:032x}", hasher.digest128())
    }

    /// Embeds all queries and documents and searches exactly: the score that `ir-eval` computes from `embed`'s vectors.
    ///
    /// Holds the vectors of all queries and of one block of documents. An error of `encode`, such as a signal, ends it.
    ///
    /// # Errors
    /// An error of `encode`, a vector that holds NaN or infinity, or an error of libtorch.
    pub(crate) fn evaluate(&self, encode: &mut Encode<'_>) -> anyhow::Result<Score> {
        no_grad(|| self.search(encode))
    }

    fn search(&self, encode: &mut Encode<'_>) -> anyhow::Result<Score> {
        let mut vectors = Vec::new();
        for (batch, rows) in self.queries.batches() {
            vectors.push(self.vectors(&self.queries, batch.start, encoded(rows, encode)?)?);
        }
        let queries = cat(&vectors)?.f_split(QUERY_BLOCK, 0).map_err(TorchError::from)?;

        let depth = self.metric.k.map_or(self.corpus.len(), NonZeroUsize::get);
        let best = TopK::new(self.queries.len(), depth, |index| self.corpus.id(index));
        let (mut block, mut start) = (Vec::new(), 0);
        for (batch, rows) in self.corpus.batches() {
            block.push(self.vectors(&self.corpus, batch.start, encoded(rows, encode)?)?);
            if batch.end - start < CORPUS_BLOCK && batch.end < self.corpus.len() {
                continue;
            }
            let documents = cat(&std::mem::take(&mut block))?;
            let mut first = 0;
            for queries in &queries {
                let range = first..first + queries.size()[0] as usize;
                first = range.end;
                best.add(range, start..batch.end, |n| nearest(queries, &documents, n))?;
            }
            start = batch.end;
        }

        let rankings: HashMap<&str, _> = self.queries.ids().zip(best.into_hits()).collect();
        let value = |query: &JudgedQuery| {
            let hits = rankings.get(&*query.id).map(Vec::as_slice).unwrap_or_default();
            let ranked = self.judgments.relevances(&query.id, hits.iter().map(|hit| self.corpus.id(hit.index)));
            self.metric.value(&ranked, &query.ideal)
        };
        let per_query: Vec<f64> = self.judgments.queries().iter().map(value).collect();
        Ok(Score { mean: mean(&per_query), per_query })
    }

    /// Checks the vectors of `texts` from `first` on, and normalises them if they are compared by cosine.
    fn vectors(&self, texts: &Texts, first: usize, vectors: Tensor) -> anyhow::Result<Tensor> {
        if let Some(row) = first_not_finite(&vectors)? {
            let id = texts.id(first + row);
            anyhow::bail!("{}: the vector of \"{id}\" holds NaN or infinity: the training has diverged", texts.name);
        }
        Ok(if self.normalizes { normalize(&vectors)? } else { vectors })
    }
}

/// Vectors of rows, longest first. Rows without tokens get zeros, as in `embed`.
fn encoded(rows: &[Vec<u32>], encode: &mut Encode<'_>) -> anyhow::Result<Tensor> {
    let filled = rows.partition_point(|row| !row.is_empty());
    let vectors = encode(&rows[..filled])?;
    let empty = (rows.len() - filled) as i64;
    Ok(vectors.f_constant_pad_nd([0, 0, 0, empty]).map_err(TorchError::from)?)
}

fn first_not_finite(vectors: &Tensor) -> Result<Option<usize>, TorchError> {
    let finite = vectors.f_isfinite()?.f_all_dim(1, false)?;
    Ok(Vec::<bool>::try_from(&finite)?.iter().position(|finite| !finite))
}

fn cat(vectors: &[Tensor]) -> Result<Tensor, TorchError> {
    Ok(Tensor::f_cat(vectors, 0)?)
}

/// Scores and indices of the `n` documents with the highest dot products, in descending order: both `[queries, n]`.
fn nearest(queries: &Tensor, documents: &Tensor, n: usize) -> Result<(Vec<f32>, Vec<i64>), TorchError> {
    let scores = queries.f_matmul(&documents.f_transpose(0, 1)?)?;
    let (scores, rows) = scores.f_topk(n as i64, 1, true, true)?;
    let host = |tensor: Tensor| tensor.f_to_device(Device::Cpu)?.f_flatten(0, 1);
    Ok((Vec::try_from(host(scores)?)?, Vec::try_from(host(rows)?)?))
}
