//! From the flags to the report.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{bail, ensure};
use embtune_cli::{Outcome, Session, counted, output_format};
use embtune_records::Judgments;
use embtune_tensors::report_truncated_files;

use crate::cli::Cli;
use crate::diagnosis::Diagnosis;
use crate::gates::failures;
use crate::measure::{Evaluation, MetricNames, MissingPolicy, NoRelevantPolicy, Rules, Selection};
use crate::report::{Format, Outputs, PageSettings, TrainingLog, write_run};
use crate::results::{Results, SystemResults};
use crate::retrieval::Retriever;
use crate::texts::{Texts, common_words};

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let format = output_format(cli.output.format, cli.output.path.as_deref(), Format::Table, Format::Table)?;
    let has_page = cli.output.html.is_some() || format == Format::Html;
    check(&cli, format, has_page)?;
    let outputs = Outputs::open(&cli.output, format, session)?;
    let selection = Selection::new(&cli.metrics, cli.gates.fail_under.iter().map(|threshold| threshold.metric));
    let rules = Rules::new(&cli.metrics);
    let judgments = read_judgments(&cli.input.qrels, rules, session)?;
    let training_log = cli.input.training_log.as_deref().map(|file| TrainingLog::read(file, session)).transpose()?;
    let (depth, seed) = (cli.search.depth, cli.metrics.seed);
    let page = PageSettings { input: &cli.input, training_log, rules, depth: depth.get(), seed };
    let mut retriever = Retriever::new(&cli.input, &cli.search, &cli.ort, rules, selection.depth(depth), session);

    // Only the rankings of one system are in memory at a time.
    let mut systems: Vec<SystemResults> = Vec::new();
    for system in &cli.input.systems {
        session.interrupt().check()?;
        let retrieved = retriever.retrieve(system, &judgments)?;
        if let Some(pattern) = &cli.output.run {
            write_run(&retrieved.run, &system.name, pattern, session)?;
        }
        if let Some(missing) = judgments.missing(|id| retrieved.run.queries.contains_key(id)) {
            let name = &system.name;
            match rules.missing {
                MissingPolicy::Zero => session.warn(format!("{name}: {missing}; missing queries count as 0")),
                MissingPolicy::Skip => session.warn(format!("{name}: {missing}; missing queries are left out")),
                MissingPolicy::Error => bail!("{name}: {missing}"),
            }
        }
        let evaluation = Evaluation::new(&judgments, &retrieved.run, &selection.metrics, rules);
        systems.push(SystemResults {
            name: system.name.clone(),
            origin: retrieved.origin,
            missing: evaluation.missing(),
            evaluation,
            comparisons: Vec::new(),
        });
    }
    let names = MetricNames { compat: cli.metrics.compat, similarity: cli.search.similarity };
    let results = Results::new(selection, names, &judgments, systems, rules, seed)?;

    let (mut texts, mut diagnosis) = (Texts::default(), None);
    if cli.output.diagnose || has_page {
        let queries: HashSet<&str> = results.queries.iter().map(|query| &*query.id).collect();
        texts = Texts::read(cli.input.queries.as_deref(), &queries, session)?;
        let common = common_words(cli.input.corpus.as_deref(), session)?;
        diagnosis = Some(Diagnosis::new(&results, &texts, &common));
    }
    outputs.write(&results, diagnosis.as_ref(), &texts, &page, session)?;
    let failures = failures(&cli.gates, &results);
    failures.iter().for_each(|failure| session.warn(failure));
    Ok(if failures.is_empty() { Outcome::Done } else { Outcome::Incomplete })
}

/// Refuses combinations of flags that clap cannot check.
fn check(cli: &Cli, format: Format, has_page: bool) -> anyhow::Result<()> {
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
        !cli.output.diagnose || matches!(format, Format::Table | Format::Json | Format::Html),
        "--diagnose works with --format table, json and html"
    );
    ensure!(
        cli.input.training_log.is_none() || has_page,
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
