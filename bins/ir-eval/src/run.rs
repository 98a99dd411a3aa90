//! From the flags to the report.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{bail, ensure};
use embtune_cli::{Outcome, Session, counted};
use embtune_records::{Judgments, MissingQueries};
use embtune_tensors::report_truncated_files;

use crate::cli::Cli;
use crate::diagnosis::Diagnosis;
use crate::gates::{GateSettings, Threshold, failures};
use crate::measure::{
    Evaluation, MetricNames, MissingPolicy, NoRelevantPolicy, RuleSettings, Rules, Selection, SelectionSettings,
    compatible_metric,
};
use crate::report::{Format, OutputSettings, Outputs, PageSettings, TrainingLog, write_run};
use crate::results::{Results, SystemResults};
use crate::retrieval::{ModelSettings, Retriever, SearchSettings, VectorSearch};
use crate::texts::{Texts, common_words};

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let (gates, output) = (gate_settings(&cli), output_settings(&cli)?);
    check(&cli, &output)?;
    let outputs = Outputs::open(&output, session)?;
    let selection = Selection::new(&selection_settings(&cli, &gates));
    let rules = Rules::new(&rule_settings(&cli));
    let judgments = read_judgments(&cli.input.qrels, rules, session)?;
    let page = page_settings(&cli, rules, session)?;
    let mut retriever = retriever(&cli, &selection, rules, session);

    // Only the rankings of one system are in memory at a time.
    let mut systems: Vec<SystemResults> = Vec::new();
    for system in &cli.input.systems {
        session.interrupt().check()?;
        let retrieved = retriever.retrieve(system, &judgments)?;
        if let Some(pattern) = &cli.output.run {
            write_run(&retrieved.run, &system.name, pattern, session)?;
        }
        if let Some(missing) = judgments.missing(|id| retrieved.run.queries.contains_key(id)) {
            report_missing(&system.name, &missing, rules.missing, session)?;
        }
        let evaluation = Evaluation::new(&judgments, &retrieved.run, &selection.metrics, rules);
        systems.push(SystemResults::new(system.name.clone(), retrieved.origin, evaluation));
    }
    let names = MetricNames { compat: cli.metrics.compat, similarity: cli.search.similarity };
    let results = Results::new(selection, names, &judgments, systems, rules, cli.metrics.seed)?;

    let (mut texts, mut diagnosis) = (Texts::default(), None);
    if output.diagnose || output.has_page() {
        let queries: HashSet<&str> = results.queries.iter().map(|query| &*query.id).collect();
        texts = Texts::read(cli.input.queries.as_deref(), &queries, session)?;
        let common = common_words(cli.input.corpus.as_deref(), session)?;
        diagnosis = Some(Diagnosis::new(&results, &texts, &common));
    }
    outputs.write(&results, diagnosis.as_ref(), &texts, &page, session)?;
    let failures = failures(&gates, &results);
    failures.iter().for_each(|failure| session.warn(failure.to_string()));
    Ok(if failures.is_empty() { Outcome::Done } else { Outcome::Incomplete })
}

/// Refuses combinations of flags that clap cannot check.
fn check(cli: &Cli, output: &OutputSettings) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    for system in &cli.input.systems {
        ensure!(names.insert(&system.name), "two systems have the name \"{}\"", system.name);
    }
    if let Some(pattern) = &cli.output.run {
        ensure!(
            cli.input.systems.len() == 1 || pattern.contains("{}"),
            "--run {pattern}: every system would write to the same file\nhint: put {{}} where the system's name goes"
        );
    }
    ensure!(
        cli.gates.fail_on_regression.is_none() || cli.input.systems.len() > 1,
        "--fail-on-regression compares the last system with the first, but there is only one system"
    );
    ensure!(
        !output.diagnose || matches!(output.format, Format::Table | Format::Json | Format::Html),
        "--diagnose works with --format table, json and html"
    );
    ensure!(
        cli.input.training_log.is_none() || output.has_page(),
        "--training-log needs a page\nhint: add --html FILE, or -o FILE.html"
    );
    Ok(())
}

fn read_judgments(qrels: &Path, rules: Rules, session: &Session) -> anyhow::Result<Judgments> {
    let qrels = session.input(qrels)?;
    let mut judgments = Judgments::read(&qrels.name.clone(), qrels, |note| session.notice(note))?;
    if rules.no_relevant == NoRelevantPolicy::Zero {
        judgments = judgments.measuring_all();
    }
    session.notice(format!(
        "{} in the judgments, {} evaluated, {} without a relevant document",
        counted(judgments.in_file() as u64, "query", "queries"),
        judgments.queries().len(),
        judgments.without_relevant()
    ));
    Ok(judgments)
}

/// Says that a system did not answer some queries, and how they count.
fn report_missing(
    system: &str,
    missing: &MissingQueries,
    policy: MissingPolicy,
    session: &Session,
) -> anyhow::Result<()> {
    match policy {
        MissingPolicy::Zero => session.warn(format!("{system}: {missing}; missing queries count as 0")),
        MissingPolicy::Skip => session.warn(format!("{system}: {missing}; missing queries are left out")),
        MissingPolicy::Error => bail!("{system}: {missing}"),
    }
    Ok(())
}

fn gate_settings(cli: &Cli) -> GateSettings {
    let compatible = |threshold: &Threshold| Threshold {
        metric: compatible_metric(cli.metrics.compat, threshold.metric),
        min: threshold.min,
    };
    GateSettings {
        fail_under: cli.gates.fail_under.iter().map(compatible).collect(),
        fail_on_regression: cli.gates.fail_on_regression,
    }
}

fn selection_settings(cli: &Cli, gates: &GateSettings) -> SelectionSettings {
    SelectionSettings {
        compat: cli.metrics.compat,
        cutoffs: cli.metrics.cutoffs.clone(),
        metrics: cli.metrics.metrics.clone(),
        primary: cli.metrics.primary,
        gated: gates.fail_under.iter().map(|threshold| threshold.metric).collect(),
    }
}

fn rule_settings(cli: &Cli) -> RuleSettings {
    RuleSettings {
        compat: cli.metrics.compat,
        ties: cli.metrics.ties,
        exclude_self: cli.metrics.exclude_self,
        missing: cli.metrics.missing,
        no_relevant: cli.metrics.no_relevant,
    }
}

fn output_settings(cli: &Cli) -> anyhow::Result<OutputSettings> {
    Ok(OutputSettings {
        path: cli.output.path.clone(),
        format: embtune_cli::output_format(
            cli.output.format,
            cli.output.path.as_deref(),
            Format::Table,
            Format::Table,
        )?,
        diagnose: cli.output.diagnose,
        per_query: cli.output.per_query.clone(),
        html: cli.output.html.clone(),
    })
}

fn page_settings(cli: &Cli, rules: Rules, session: &Session) -> anyhow::Result<PageSettings> {
    let training_log = cli.input.training_log.as_deref().map(|file| TrainingLog::read(file, session));
    Ok(PageSettings {
        qrels: cli.input.qrels.clone(),
        queries: cli.input.queries.clone(),
        corpus: cli.input.corpus.clone(),
        training_log: training_log.transpose()?,
        rules,
        depth: cli.search.depth.get(),
        seed: cli.metrics.seed,
    })
}

fn retriever<'a>(cli: &Cli, selection: &Selection, rules: Rules, session: &'a Session) -> Retriever<'a> {
    let (device, threads) = (cli.ort.compute.device, cli.ort.compute.threads.count());
    let depth = selection.depth(cli.search.depth);
    let settings = SearchSettings {
        device,
        threads,
        ort_library: cli.ort.ort_library.clone(),
        similarity: cli.search.similarity,
        ties: rules.ties,
        dim: cli.search.truncate_dim.map(std::num::NonZeroUsize::get),
        // One more hit is needed, because the query's own document is then left out.
        depth: depth + usize::from(rules.exclude_self),
    };
    let model = ModelSettings {
        queries: cli.input.queries.clone(),
        corpus: cli.input.corpus.clone(),
        offline: cli.input.hub.offline,
        device,
        threads,
        ort_library: cli.ort.ort_library.clone(),
    };
    Retriever { search: VectorSearch::new(settings, session), model, rules, depth, session }
}
