//! From the flags to the report.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use anyhow::ensure;
use embtune_cli::{Outcome, Session};
use embtune_metrics::{Kind, Metric};
use embtune_records::{Judgments, Run};

use crate::cli::{Cli, Format};
use crate::compare::compare;
use crate::evaluate::Evaluation;
use crate::report::{Measured, Report};
use crate::retrieve::retrieve;
use crate::vectors::{SearchSettings, VectorSearch};
use crate::{machine, run_file, table};

/// The metric that decides unless the user says otherwise.
const PRIMARY: Metric = Metric { kind: Kind::Ndcg, k: NonZeroUsize::new(10).expect("10 is not 0") };

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    check(&cli)?;
    let (metrics, primary) = metrics(&cli);
    let mut search = VectorSearch::new(
        SearchSettings {
            device: cli.ort.compute.device,
            threads: cli.ort.compute.threads.count(),
            ort_library: cli.ort.ort_library.clone(),
            similarity: cli.similarity,
            depth: metrics.iter().map(|metric| metric.k).fold(cli.depth, NonZeroUsize::max).get(),
        },
        session,
    );
    let qrels = session.input(&cli.qrels)?;
    let judgments = Judgments::read(&qrels.name.clone(), qrels)?;
    session.notice(format!(
        "{} queries in the judgments, {} evaluated, {} without a relevant document",
        judgments.in_file(),
        judgments.queries().len(),
        judgments.without_relevant()
    ));

    // One system after the other: only one has its rankings in memory.
    let mut systems: Vec<Measured> = Vec::new();
    for system in &cli.systems {
        session.interrupt().check()?;
        let run = retrieve(system, &judgments, &mut search, session)?;
        if let Some(pattern) = &cli.run {
            run_file::write(&run, &system.name, pattern, session)?;
        }
        let missing = report_missing(&system.name, &judgments, &run, session);
        let evaluation = Evaluation::new(&judgments, &run, &metrics);
        let comparisons =
            systems.first().map(|first| compare(&evaluation, &first.evaluation, cli.seed)).unwrap_or_default();
        systems.push(Measured { name: system.name.clone(), evaluation, missing, comparisons });
    }
    let report =
        Report { metrics, primary, queries: judgments.in_file(), measured: judgments.queries().len(), systems };
    write(&cli, &report, &judgments, session)?;
    Ok(Outcome::Done)
}

/// Refuses what clap cannot see: names that clash.
fn check(cli: &Cli) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    for system in &cli.systems {
        ensure!(names.insert(&system.name), "two systems are called \"{}\"", system.name);
    }
    if let Some(pattern) = &cli.run {
        ensure!(
            cli.systems.len() == 1 || pattern.contains("{}"),
            "--run {pattern}: would be written once for each system\nhint: put {{}} in the place of the system's name"
        );
    }
    Ok(())
}

/// What is measured, each metric once, and the index of the one that decides.
fn metrics(cli: &Cli) -> (Vec<Metric>, usize) {
    let of_kind = |kind| cli.cutoffs.iter().map(move |k| Metric { kind, k: *k });
    let asked: Vec<Metric> =
        if cli.metrics.is_empty() { Kind::ALL.into_iter().flat_map(of_kind).collect() } else { cli.metrics.clone() };
    let mut metrics: Vec<Metric> = Vec::new();
    // A primary metric that was not among them leads.
    let leading = cli.primary.filter(|primary| !asked.contains(primary));
    for metric in leading.into_iter().chain(asked) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    let primary = cli.primary.unwrap_or(PRIMARY);
    let index = metrics.iter().position(|metric| *metric == primary).unwrap_or(0);
    (metrics, index)
}

/// Says which judged queries a system did not answer, and how many they are.
fn report_missing(system: &str, judgments: &Judgments, run: &Run, session: &Session) -> usize {
    let Some((count, message)) = judgments.missing(|id| run.queries.contains_key(id)) else { return 0 };
    session.warn(format!("{system}: {message}"));
    count
}

fn write(cli: &Cli, report: &Report, judgments: &Judgments, session: &Session) -> anyhow::Result<()> {
    if let Some(path) = &cli.per_query {
        let mut out = session.output(Some(path))?;
        machine::write_per_query(report, judgments, &mut out)?;
        out.finish()?;
    }
    let mut out = session.output(cli.output.as_deref())?;
    match cli.format {
        Format::Table => table::write(report, &mut out)?,
        Format::Json => machine::write_json(report, &mut out)?,
        Format::Tsv => machine::write_tsv(report, &mut out)?,
    }
    Ok(out.finish()?)
}
