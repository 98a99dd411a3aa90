//! The report as one page that needs no network: minijinja fills `page.html`, `svg.rs` draws the charts.

mod curves;
mod diagnosis;
mod differences;
mod figures;
mod provenance;
mod stories;
mod svg;
mod track;
mod training;

use std::collections::HashSet;
use std::io::Write;

use embtune_cli::Session;
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use super::{Report, verdict};
use crate::cli::Cli;
use crate::diagnose::Diagnosis;
use crate::input::{Texts, TrainingLog};

/// What `page.html` is filled with.
#[derive(Serialize)]
struct Page<'a> {
    style: &'static str,
    title: String,
    legend: Vec<Legend<'a>>,
    verdicts: Vec<String>,
    /// The one that decides.
    metric: String,
    queries: usize,
    headline: Vec<figures::Headline>,
    figures: Vec<figures::Figure>,
    tests: Vec<figures::Tests>,
    differences: Vec<differences::Differences>,
    curves: curves::Curves,
    diagnosis: diagnosis::Diagnosis,
    stories: Vec<stories::Kind>,
    training: Option<training::Training>,
    provenance: Vec<(String, String)>,
}

/// A system in the legend.
#[derive(Serialize)]
struct Legend<'a> {
    name: &'a str,
    /// The style class of its colour.
    class: String,
}

/// The style class of a system's colour: the first is grey, and there are seven more.
fn class(system: usize) -> String {
    format!("s{}", if system == 0 { 0 } else { 1 + (system - 1) % 7 })
}

/// Writes the page.
///
/// # Errors
/// Documents that cannot be read, a full disk.
pub(super) fn write(
    cli: &Cli,
    report: &Report,
    diagnosis: &Diagnosis,
    queries: &Texts,
    training: Option<&TrainingLog>,
    out: &mut impl Write,
    session: &Session,
) -> anyhow::Result<()> {
    let stories = stories::pick(report);
    let ids: HashSet<&str> = stories::documents(report, &stories, diagnosis);
    let corpus = Texts::read(cli.input.corpus.as_deref(), &ids, session)?;
    let texts = stories::Shown { queries, corpus: &corpus };
    let legend: Vec<Legend<'_>> = report
        .systems
        .iter()
        .enumerate()
        .map(|(index, system)| Legend { name: &system.name, class: class(index) })
        .collect();
    let page = Page {
        style: include_str!("style.css"),
        title: report.systems.iter().map(|system| &*system.name).rev().collect::<Vec<_>>().join(" against "),
        legend,
        verdicts: report.compared().iter().map(|system| verdict::sentence(report, system)).collect(),
        metric: report.name(report.primary),
        queries: report.queries.len(),
        headline: figures::headline(report),
        figures: figures::all(report),
        tests: figures::tests(report),
        differences: differences::all(report),
        curves: curves::all(report, cli.search.depth.get()),
        diagnosis: diagnosis::section(report, diagnosis, &texts),
        stories: stories::section(report, &stories, &texts),
        training: training.map(training::section),
        provenance: provenance::all(cli, report),
    };
    let mut templates = Environment::new();
    templates.add_template("page.html", include_str!("page.html"))?;
    let html = templates.get_template("page.html")?.render(Serde(&page))?;
    Ok(writeln!(out, "{}", html.trim_end())?)
}
