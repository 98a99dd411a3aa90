//! The report as one page that needs no network: minijinja fills `page.html`, and `svg.rs` draws the charts.

mod curves;
mod diagnosis;
mod examples;
mod metrics;
mod provenance;
mod svg;
mod training;

use std::collections::HashSet;
use std::io::Write;

use embtune_cli::Session;
use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::{Value, json};

use super::table::verdict;
use crate::diagnosis::Diagnosis;
use crate::results::Results;
use crate::texts::Texts;

pub(crate) use provenance::PageSettings;
pub(crate) use training::TrainingLog;

/// The style class of a system's colour: grey for the first, then seven others in turn.
fn class(system: usize) -> String {
    format!("s{}", if system == 0 { 0 } else { 1 + (system - 1) % 7 })
}

/// A difference with its sign, typeset with a true minus.
fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "\u{2212}")
}

/// Writes the page.
///
/// # Errors
/// Documents that cannot be read, a full disk.
pub(super) fn write(
    settings: &PageSettings<'_>,
    results: &Results,
    diagnosis: &Diagnosis,
    queries: &Texts,
    out: &mut impl Write,
    session: &Session,
) -> anyhow::Result<()> {
    let examples = examples::Examples::pick(results);
    let ids: HashSet<&str> = examples.documents(results, diagnosis);
    let corpus = Texts::read(settings.input.corpus.as_deref(), &ids, session)?;
    let texts = examples::PageTexts { queries, corpus: &corpus };
    let systems = || results.systems.iter();
    let legend = systems().enumerate().map(|(index, system)| json!({ "name": system.name, "class": class(index) }));
    let page = json!({
        "style": include_str!("style.css"),
        "title": systems().map(|system| &*system.name).rev().collect::<Vec<_>>().join(" against "),
        "legend": legend.collect::<Value>(),
        "verdicts": results.compared().iter().map(|system| verdict(results, system)).collect::<Value>(),
        "metric": results.metric_name(results.primary),
        "queries": results.queries.len(),
        "headline": metrics::headline(results),
        "figures": metrics::figures(results),
        "tests": metrics::tests(results),
        "differences": metrics::differences(results),
        "curves": curves::curves(results, settings.depth),
        "diagnosis": diagnosis::section(results, diagnosis, &texts),
        "stories": examples.groups(results, &texts),
        "training": settings.training_log.as_ref().map(training::section),
        "provenance": provenance::all(settings, results),
    });
    let mut templates = Environment::new();
    templates.add_template("page.html", include_str!("page.html"))?;
    let html = templates.get_template("page.html")?.render(Serde(&page))?;
    Ok(writeln!(out, "{}", html.trim_end())?)
}
