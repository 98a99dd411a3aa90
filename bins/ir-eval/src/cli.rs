//! The command line. Each module has the flags that it reads.

use clap::Parser;
use embtune_cli::{CommonArgs, OrtArgs};

use crate::gates::GateArgs;
use crate::input::InputArgs;
use crate::measure::MetricArgs;
use crate::report::OutputArgs;
use crate::retrieval::SearchArgs;

const SECTIONS: &str = "\
Formulas:
  Of each query, the first k ranks count; without @k, everything that was retrieved. A document is
  relevant if its relevance is above 0. R is the number of relevant documents in the judgments,
  whether or not the corpus contains them. In parentheses: the measure of trec_eval, or of another
  program, that every value equals.

  ndcg@k           DCG / DCG of the best order, with linear gain:
                   DCG = sum of relevance / log2(rank + 1)            (ndcg_cut, ndcg)
  ndcg-exp@k       the same with gain 2^relevance - 1                 (gdeval's ndcg)
  recall@k         relevant documents found / R                       (recall)
  capped-recall@k  relevant documents found / min(k, R)               (BEIR's R_cap)
  mrr@k            1 / rank of the first relevant document, else 0    (recip_rank, run cut at k)
  precision@k      relevant documents found / k                       (P)
  f1@k             harmonic mean of precision@k and recall@k          (set_F, run cut at k)
  map@k            precision at each rank of a relevant document,
                   summed, / R                                        (map_cut, map)
  capped-map@k     the same sum / min(k, R)                           (sentence-transformers' MAP)
  accuracy@k       1 if a relevant document is found, else 0          (success)
  rprec            precision at rank R                                (Rprec)
  bpref            how rarely a document judged not relevant is
                   ranked above a relevant one                        (bpref)
  rbp@k            sum of 0.2 * 0.8^(rank - 1) over relevant ranks    (ir_measures' RBP(p=0.8))
  err@k            expected 1 / rank at which a reader is satisfied,
                   for grades 0 to 4                                  (gdeval's err)
  judged@k         share of the first k that was judged at all        (ir_measures' Judged)

  A system's value is the mean over the queries that have a relevant document. Queries without one
  are left out, and queries that a system did not answer count as 0; both are counted, and
  --no-relevant and --missing change that. Documents with equal scores are ranked in descending
  order of their ids, byte by byte, as in trec_eval; --ties changes that.

  Names of other programs are accepted, too, if they mean the same: NDCG@10, ndcg_cut_10,
  ndcg_cut.10 and ndcg_at_10; RR@10, recip_rank (no cutoff); P_5; R@100; AP@100, map_cut_100;
  success_1, hit@1, hit_rate@1; R_cap@10; ndcg_burges@10. The report has our names. A name that
  means something else in its own program is refused, and the message names the closest of ours.

Files:
  Judgments are BEIR's three columns (query-id, corpus-id, score) or TREC's four. A run has TREC's
  six columns, or query, document and score. Columns are separated by tabs, blanks or commas (CSV);
  if there are other columns, a header has to name them (query-id, qid; corpus-id, docid, docno,
  pid; score, relevance, label). Both may also be JSON Lines with such fields, or one object:
  {query: {document: number}}. The content decides, not the name of the file. A line that begins
  with # is a comment unless it is a valid row, because ids may begin with #; comments are counted.
  Three columns that may be ranks (MS MARCO) are refused, with the commands that turn them into a
  run. Compressed files are refused, too: s=<(zcat run.gz) reads one.

  The extension of the report's name decides its form: .txt, .json, .tsv, .csv, .trec, .md or
  .html. Any other name needs --format, and a name that contradicts --format is refused.

Other programs:
  --compat computes as another program does and gives its names to the metrics. Other flags take
  precedence.

  trec   trec_eval -c: queries without a relevant document count as 0; scores are compared in 32
         bits, as in trec_eval 9 and pytrec_eval (10 has 64); names such as ndcg_cut_10
  st     InformationRetrievalEvaluator of sentence-transformers 6: any relevance above 0 is 1, MAP
         is divided by min(k, R), ties go to the smaller id; names such as cosine_ndcg@10; its
         metrics unless others are named; --format csv has its header
  beir   EvaluateRetrieval: documents with the query's own id are left out; names such as NDCG@10;
         its metrics unless others are named; five decimals

Comparison:
  Every system is compared with the first, query by query. p is that of Fisher's randomisation
  test, two-sided: the share of all ways to swap the two systems' results that give a mean
  difference at least as large as the one observed. All ways are tried if at most 20 queries
  differ; otherwise 10,000 are drawn from --seed. The 95 % confidence interval of the mean
  difference is that of the percentile bootstrap with 10,000 samples. p(Holm) is p corrected for
  the number of metrics. --format json also has Student's paired t-test, Wilcoxon's signed-rank
  test and the effect size (mean difference / standard deviation of the differences). Decide on one
  metric, the primary one, before you look: it alone needs no correction.

Memory:
  Vectors are memory-mapped. Those of a model that is run, and of JSON Lines, are first written to
  the folder for temporary files. In memory are 8 bytes per document while files are opened or a
  model embeds, the judgments, twice the hits of every judged query (--depth) of one system at a
  time, 8 MB per thread, and for each query and system its values and the ranks of its relevant
  documents. A run is read whole. Of the texts, only those that are shown are kept, and those of
  all judged queries.

Examples:
  Did fine-tuning help?
    ir-eval --qrels qrels.tsv base=base.q.safetensors,base.c.safetensors \\
      tuned=tuned.q.safetensors,tuned.c.safetensors
  The same from the models themselves, as a page to show:
    ir-eval --qrels qrels.tsv --queries queries.jsonl --corpus corpus.jsonl \\
      --training-log log.jsonl --html report.html base=BASE tuned=TUNED
  Is fine-tuning needed at all?
    ir-eval --diagnose --qrels qrels.tsv --queries queries.jsonl --corpus corpus.jsonl base=BASE
  What do eight bits cost, or one bit with rescoring?
    ir-eval --qrels qrels.tsv full=q,c int8=q,c.int8 bits=q,c.bits rescored=q,c.bits,c
  Stop a release that is worse:
    ir-eval --qrels qrels.tsv --fail-under ndcg@10=0.8 --fail-on-regression 0.01 \\
      old=old.q,old.c new=new.q,new.c
  Other metrics, for a program:
    ir-eval --qrels qrels.tsv --metrics recall@100,ndcg@10 --format json bm25=bm25.run |
      jq .systems
  The same values from trec_eval:
    ir-eval --qrels qrels.txt --compat trec --run '{}.run' tuned=q.safetensors,c.safetensors
    trec_eval -c -m ndcg_cut.10 qrels.txt tuned.run
";

/// Measure retrieval and compare systems
///
/// Searches exactly, with the vectors of each system, for the queries that the judgments name, and reports how high the
/// relevant documents are ranked. With two systems or more, it also tests whether they differ by more than chance.
#[derive(Debug, Parser)]
#[command(name = "ir-eval", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) metrics: MetricArgs,

    #[command(flatten)]
    pub(crate) search: SearchArgs,

    #[command(flatten)]
    pub(crate) gates: GateArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

embtune_cli::filter!(Cli {
    unit: "block",
    example: "ir-eval --qrels qrels.tsv base=base.q.npy,base.c.npy tuned=tuned.q.npy,tuned.c.npy"
});
