//! The dev set: queries, documents and judgments, and how well the weights of the moment do on them.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::num::NonZeroUsize;
use std::path::Path;

use embtune_cli::{Input, Session};
use embtune_metrics::{Metric, TopK, mean};
use embtune_model::{ModelDir, Role};
use embtune_records::{JudgedQuery, Judgments};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor, no_grad};
use xxhash_rust::xxh3::Xxh3;

use crate::loss::unit;
use crate::training::dev::DevArgs;
use crate::training::dev::texts::{Source, Texts};

/// Documents in one product: enough that its cost hides that of the rest.
const CORPUS_BLOCK: usize = 16_384;
/// Queries in one product; with [`CORPUS_BLOCK`] the scores take 32 MiB.
const QUERY_BLOCK: i64 = 512;

/// Vectors of rows of token ids: f32 `[rows, hidden]` on any device, without gradients.
pub(crate) type Encode<'a> = dyn FnMut(&[Vec<u32>]) -> anyhow::Result<Tensor> + 'a;

/// Texts as token ids, and which are relevant to which.
pub(crate) struct DevSet {
    /// Those that are measured.
    pub(crate) queries: Texts,
    pub(crate) corpus: Texts,
    judgments: Judgments,
    /// The figure, such as `ndcg@10`.
    pub(crate) metric: Metric,
    normalizes: bool,
}

/// The files of a dev set, open.
pub(super) struct Sources<R> {
    pub(super) queries: Source<R>,
    pub(super) corpus: Source<R>,
    pub(super) qrels: Source<R>,
}

/// How texts become vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    /// Whether vectors are compared by cosine, else by dot product.
    pub(crate) cosine: bool,
    /// Tokens of the rows that are encoded together.
    pub(crate) batch_tokens: usize,
    /// CPU threads of the tokenizer.
    pub(crate) threads: usize,
}

/// What the weights of the moment reach.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Score {
    /// The figure: the mean over the queries.
    pub(crate) mean: f64,
    /// Of every query that has a relevant document, in the order of the judgments.
    pub(crate) per_query: Vec<f64>,
}

impl DevSet {
    /// Reads and tokenises the dev set, when the flags name one.
    ///
    /// Token ids stay in memory, 4 bytes each; texts and document vectors do not.
    ///
    /// # Errors
    /// Files that do not belong together, records and judgments that cannot be read, an id that stands twice.
    pub(crate) fn open(
        args: &DevArgs,
        model: &ModelDir,
        encoding: Encoding,
        session: &Session,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(queries), Some(corpus), Some(qrels)) = (&args.dev_queries, &args.dev_corpus, &args.dev_qrels) else {
            return Ok(None);
        };
        let open = |path: &Path| -> anyhow::Result<Source<Input>> {
            let reader = session.input(path)?;
            Ok(Source { name: reader.name.clone(), reader })
        };
        let sources = Sources { queries: open(queries)?, corpus: open(corpus)?, qrels: open(qrels)? };
        Self::read(sources, model, args.metric, encoding, |warning| session.warn(warning)).map(Some)
    }

    pub(super) fn read<R: BufRead>(
        sources: Sources<R>,
        model: &ModelDir,
        metric: Metric,
        Encoding { cosine, batch_tokens, threads }: Encoding,
        warn: impl Fn(String),
    ) -> anyhow::Result<Self> {
        let Sources { queries, corpus, qrels } = sources;
        let judgments = Judgments::read(&qrels.name, qrels.reader, |note| warn(format!("dev set: {note}")))?;
        let measured: HashSet<&str> = judgments.queries().iter().map(|query| &*query.id).collect();
        let texts = |source: Source<R>, role, wanted: &dyn Fn(&str) -> bool| {
            Texts::read(source, model, role, batch_tokens, threads, wanted)
        };
        let queries = texts(queries, Role::Query, &|id| measured.contains(id))?;
        anyhow::ensure!(
            queries.len() > 0,
            "{}: holds no query of {}\nhint: the ids of both files must be the same texts",
            queries.name,
            qrels.name
        );
        let corpus = texts(corpus, Role::Document, &|_| true)?;
        for texts in [&queries, &corpus].into_iter().filter(|texts| texts.empty() > 0) {
            let (empty, all, name) = (texts.empty(), texts.len(), &texts.name);
            warn(format!("dev set: {empty} of {all} texts of {name} have no token: their vectors are zeros"));
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

    /// Names the set: XXH3, 128 bits in hexadecimal, of its token ids, its judgments and all their ids.
    ///
    /// The scores of two sets cannot be compared, so a training that is resumed must have the set that it began with.
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

    /// Embeds all queries and documents and searches exactly: the figure that `ir-eval` gives from `embed`'s vectors.
    ///
    /// Holds the queries' vectors and one block of the documents'. An error of `encode`, such as an interrupt, ends it.
    ///
    /// # Errors
    /// Those of `encode`; a vector that holds NaN or infinity; what libtorch says.
    pub(crate) fn evaluate(&self, encode: &mut Encode<'_>) -> anyhow::Result<Score> {
        no_grad(|| self.measure(encode))
    }

    fn measure(&self, encode: &mut Encode<'_>) -> anyhow::Result<Score> {
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

    /// Checks vectors of `texts` from `first` on, and makes their length 1 when only their direction counts.
    fn vectors(&self, texts: &Texts, first: usize, vectors: Tensor) -> anyhow::Result<Tensor> {
        if let Some(row) = first_not_finite(&vectors)? {
            let id = texts.id(first + row);
            anyhow::bail!("{}: the vector of \"{id}\" holds NaN or infinity: the training has diverged", texts.name);
        }
        Ok(if self.normalizes { unit(&vectors)? } else { vectors })
    }
}

/// Vectors of rows, longest first; those without tokens have zeros, as `embed` makes them.
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

/// Scores and rows of the `n` documents with the highest dot products, falling: both `[queries, n]`.
fn nearest(queries: &Tensor, documents: &Tensor, n: usize) -> Result<(Vec<f32>, Vec<i64>), TorchError> {
    let scores = queries.f_matmul(&documents.f_transpose(0, 1)?)?;
    let (scores, rows) = scores.f_topk(n as i64, 1, true, true)?;
    let host = |tensor: Tensor| tensor.f_to_device(Device::Cpu)?.f_flatten(0, 1);
    Ok((Vec::try_from(host(scores)?)?, Vec::try_from(host(rows)?)?))
}
