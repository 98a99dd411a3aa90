//! The diagnosis for people.

use std::io::{self, Write};

use super::table::write_aligned;
use super::{Measured, Report};
use crate::diagnose::{CONTEXT_RECALL, Diagnosis, Findings, Moves};
use crate::input::Texts;
use crate::measure::{Hits, Placed};

/// Queries that are named.
const NAMED: usize = 5;
/// Characters of a text that are shown.
const SHOWN: usize = 60;

/// Writes what the diagnosis says of each system, of the differences, and of the words of the queries.
pub(super) fn write(report: &Report, diagnosis: &Diagnosis, texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    for (system, findings) in report.systems.iter().zip(&diagnosis.findings) {
        writeln!(out, "\n{}, first {} documents of {} queries", system.name, diagnosis.k, findings.queries)?;
        write_findings(findings, out)?;
        write_examples(report, system, findings, texts, out)?;
    }
    for (system, moves) in report.compared().iter().zip(&diagnosis.moves) {
        let Moves { gained, lost } = moves;
        let first = &report.systems[0].name;
        writeln!(out, "\n{} against {first}, a relevant document among the first {}", system.name, diagnosis.k)?;
        writeln!(out, "  gained  {}", named(report, gained))?;
        writeln!(out, "  lost    {}", named(report, lost))?;
    }
    write_terms(report, diagnosis, out)
}

fn write_findings(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    let Findings { queries, context_recall, all_irrelevant, intruded, .. } = findings;
    let side = if *context_recall < CONTEXT_RECALL { "under" } else { "not under" };
    let share = |count: usize| 100.0 * count as f64 / (*queries).max(1) as f64;
    writeln!(out, "  context recall    {context_recall:.4}, {side} {CONTEXT_RECALL}")?;
    writeln!(out, "  nothing relevant  {all_irrelevant} queries ({:.1} %)", share(*all_irrelevant))?;
    writeln!(out, "  another on top    {intruded} queries ({:.1} %)", share(*intruded))?;
    if let Some(margins) = &findings.margins {
        let quantiles = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| format!("{:+.4}", margins.quantile(share)));
        writeln!(
            out,
            "  score margin      {} (5, 25, 50, 75, 95 %); above 0 in {} of {}",
            quantiles.join(" "),
            margins.positive(),
            margins.sorted.len()
        )?;
    }
    Ok(())
}

fn write_examples(
    report: &Report,
    system: &Measured,
    findings: &Findings,
    texts: &Texts,
    out: &mut impl Write,
) -> io::Result<()> {
    if !findings.examples.is_empty() {
        writeln!(out, "  false positives above the relevant document, by the difference of their scores:")?;
    }
    for intrusion in &findings.examples {
        let hits = system.evaluation.hits[intrusion.query].as_ref();
        if let Some(Hits { relevant: Some(relevant), other: Some(other), .. }) = hits {
            let id = &report.queries[intrusion.query].id;
            let text = texts.get(id).map(|text| format!(" \"{}\"", shortened(text))).unwrap_or_default();
            writeln!(out, "    {id}{text}: {} above {}", placed(other), placed(relevant))?;
        }
    }
    Ok(())
}

fn placed(Placed { document, rank, score }: &Placed) -> String {
    format!("{document} (rank {rank}, {score:.4})")
}

fn named(report: &Report, queries: &[usize]) -> String {
    let ids: Vec<&str> = queries.iter().take(NAMED).map(|query| &*report.queries[*query].id).collect();
    let more = if queries.len() > NAMED { ", ..." } else { "" };
    if ids.is_empty() { "0".into() } else { format!("{}: {}{more}", queries.len(), ids.join(", ")) }
}

/// Words in a table like that of the metrics.
fn write_terms(report: &Report, diagnosis: &Diagnosis, out: &mut impl Write) -> io::Result<()> {
    if diagnosis.terms.is_empty() {
        return Ok(());
    }
    let (first, metric) = (&report.systems[0].name, report.name(report.primary));
    writeln!(out, "\nwords of queries that cost {first} most {metric}")?;
    let mut lines = vec![vec!["word".to_owned(), "queries".into()]];
    lines[0].extend(report.systems.iter().map(|system| system.name.clone()));
    for term in &diagnosis.terms {
        let mut line = vec![term.word.clone(), term.queries.to_string()];
        line.extend(term.values.iter().map(|value| format!("{value:.4}")));
        lines.push(line);
    }
    write_aligned(&lines, out)
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    if words.chars().count() <= SHOWN { words } else { words.chars().take(SHOWN).chain("...".chars()).collect() }
}
