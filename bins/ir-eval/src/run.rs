//! From the flags to the report.

use std::collections::HashSet;

use anyhow::ensure;
use embtune_cli::{Outcome, Session};
use embtune_records::Judgments;
use embtune_tensors::report_lost_files;

use crate::cli::{Cli, Format, NoRelevant};
use crate::diagnose::Diagnosis;
use crate::gate;
use crate::input::{ModelSettings, Retriever, SearchSettings, Texts, TrainingLog, VectorSearch, common_words};
use crate::measure::{Evaluation, Names, Rules, Selection};
use crate::report::{self, Measured, Report};

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_lost_files(session.error_lines());
    let format = cli.output.format()?;
    check(&cli, format)?;
    let outputs = report::Outputs::open(&cli.output, format, session)?;
    let selection = Selection::new(&cli.metrics, &cli.gates);
    let rules = Rules::new(&cli.metrics);
    let judgments = read_judgments(&cli, rules, session)?;
    let training = cli.input.training_log.as_deref().map(|file| TrainingLog::read(file, session)).transpose()?;
    let mut retriever = retriever(&cli, &selection, rules, session);

    // One system after the other: only one has its rankings in memory.
    let mut systems: Vec<Measured> = Vec::new();
    for system in &cli.input.systems {
        session.interrupt().check()?;
        let retrieved = retriever.retrieve(system, &judgments)?;
        if let Some(pattern) = &cli.output.run {
            report::write_run(&retrieved.run, &system.name, pattern, session)?;
        }
        if let Some(queries) = judgments.missing(|id| retrieved.run.queries.contains_key(id)) {
            report::say_missing(&system.name, &queries, rules.missing, session)?;
        }
        let evaluation = Evaluation::new(&judgments, &retrieved.run, &selection.metrics, rules);
        systems.push(Measured::new(system, retrieved.origin, evaluation));
    }
    let names = Names { compat: cli.metrics.compat, similarity: cli.search.similarity };
    let report = Report::new(selection, names, &judgments, systems, rules, cli.metrics.seed)?;

    let (mut texts, mut diagnosis) = (Texts::default(), None);
    if cli.output.diagnose || has_page(&cli, format) {
        let queries: HashSet<&str> = report.queries.iter().map(|query| &*query.id).collect();
        texts = Texts::read(cli.input.queries.as_deref(), &queries, session)?;
        let common = common_words(cli.input.corpus.as_deref(), session)?;
        diagnosis = Some(Diagnosis::new(&report, &texts, &common));
    }
    outputs.write(&cli, &report, diagnosis.as_ref(), &texts, training.as_ref(), session)?;
    Ok(gate::outcome(&cli.gates, &report, session))
}

/// Whether a page is written.
fn has_page(cli: &Cli, format: Format) -> bool {
    cli.output.html.is_some() || format == Format::Html
}

/// Refuses what clap cannot see.
fn check(cli: &Cli, format: Format) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    for system in &cli.input.systems {
        ensure!(names.insert(&system.name), "two systems are called \"{}\"", system.name);
    }
    if let Some(pattern) = &cli.output.run {
        ensure!(
            cli.input.systems.len() == 1 || pattern.contains("{}"),
            "--run {pattern}: would be written once for each system\nhint: put {{}} in the place of the system's name"
        );
    }
    ensure!(
        cli.gates.fail_on_regression.is_none() || cli.input.systems.len() > 1,
        "--fail-on-regression compares the last system with the first, and there is only one"
    );
    ensure!(
        !cli.output.diagnose || matches!(format, Format::Table | Format::Json | Format::Html),
        "--diagnose is for --format table, json and html"
    );
    ensure!(
        cli.input.training_log.is_none() || has_page(cli, format),
        "--training-log is for a page\nhint: --html FILE, or -o FILE.html"
    );
    Ok(())
}

fn read_judgments(cli: &Cli, rules: Rules, session: &Session) -> anyhow::Result<Judgments> {
    let qrels = session.input(&cli.input.qrels)?;
    let mut judgments = Judgments::read(&qrels.name.clone(), qrels, |note| session.notice(note))?;
    if rules.no_relevant == NoRelevant::Zero {
        judgments = judgments.measuring_all();
    }
    session.notice(format!(
        "{} queries in the judgments, {} evaluated, {} without a relevant document",
        judgments.in_file(),
        judgments.queries().len(),
        judgments.without_relevant()
    ));
    Ok(judgments)
}

fn retriever<'a>(cli: &Cli, selection: &Selection, rules: Rules, session: &'a Session) -> Retriever<'a> {
    let (device, threads) = (cli.ort.compute.device, cli.ort.compute.threads.count());
    let depth = selection.depth(cli.search.depth);
    let settings = SearchSettings {
        device,
        threads,
        ort_library: cli.ort.ort_library.clone(),
        similarity: cli.search.similarity.into(),
        ties: rules.ties,
        dim: cli.search.truncate_dim.map(std::num::NonZeroUsize::get),
        // A document that is left out afterwards takes a place.
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
