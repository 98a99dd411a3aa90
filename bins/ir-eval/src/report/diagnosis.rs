//! The diagnosis for people.

use std::io::{self, Write};

use embtune_cli::counted;

use super::table::write_aligned;
use crate::diagnosis::{CONTEXT_RECALL, Diagnosis, MARGIN_QUANTILES, QueryChanges, SystemDiagnosis};
use crate::measure::RankedDocument;
use crate::results::Results;
use crate::texts::{Texts, shorten};

/// How many queries are listed.
const MAX_LISTED: usize = 5;
/// How many characters of a text are shown.
const MAX_CHARACTERS: usize = 60;

/// Writes the diagnosis of each system, the differences between systems, and the words of the queries.
pub(super) fn write(results: &Results, diagnosis: &Diagnosis, texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    for (system, findings) in results.systems.iter().zip(&diagnosis.systems) {
        let (documents, queries) = (counted(diagnosis.k as u64, "document", "documents"), queries(findings.queries));
        writeln!(out, "\n{}, first {documents} of {queries}", system.name)?;
        write_counts(findings, out)?;
        write_false_positives(results, findings, texts, out)?;
    }
    for (system, changes) in results.compared().iter().zip(&diagnosis.changes) {
        let QueryChanges { gained, lost } = changes;
        let first = &results.systems[0].name;
        writeln!(out, "\n{} against {first}, a relevant document among the first {}", system.name, diagnosis.k)?;
        writeln!(out, "  gained  {}", list(results, gained))?;
        writeln!(out, "  lost    {}", list(results, lost))?;
    }
    write_terms(results, diagnosis, out)
}

fn write_counts(findings: &SystemDiagnosis, out: &mut impl Write) -> io::Result<()> {
    let SystemDiagnosis { context_recall, none_relevant, starting_irrelevant, .. } = *findings;
    let side = if findings.has_enough_context() { "not under" } else { "under" };
    let share = |count: usize| format!("{} ({:.1} %)", queries(count), findings.percent(count));
    writeln!(out, "  context recall    {context_recall:.4}, {side} {CONTEXT_RECALL}")?;
    writeln!(out, "  nothing relevant  {}", share(none_relevant))?;
    writeln!(out, "  another on top    {}", share(starting_irrelevant))?;
    if let Some(margins) = &findings.margins {
        let quantiles = MARGIN_QUANTILES.map(|share| format!("{:+.4}", margins.quantile(share)));
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

fn write_false_positives(
    results: &Results,
    findings: &SystemDiagnosis,
    texts: &Texts,
    out: &mut impl Write,
) -> io::Result<()> {
    if !findings.false_positives.is_empty() {
        writeln!(out, "  false positives above the relevant document, by the difference of their scores:")?;
    }
    let describe = |RankedDocument { id, rank, score }: &RankedDocument| format!("{id} (rank {rank}, {score:.4})");
    for example in &findings.false_positives {
        let id = &results.queries[example.query].id;
        let text =
            texts.get(id).map(|text| format!(" \"{}\"", shorten(text, MAX_CHARACTERS, "..."))).unwrap_or_default();
        writeln!(out, "    {id}{text}: {} above {}", describe(&example.irrelevant), describe(&example.relevant))?;
    }
    Ok(())
}

fn list(results: &Results, queries: &[usize]) -> String {
    let ids: Vec<&str> = queries.iter().take(MAX_LISTED).map(|query| &*results.queries[*query].id).collect();
    let more = if queries.len() > MAX_LISTED { ", ..." } else { "" };
    if ids.is_empty() { "0".into() } else { format!("{}: {}{more}", queries.len(), ids.join(", ")) }
}

/// Writes the words in a table like that of the metrics.
fn write_terms(results: &Results, diagnosis: &Diagnosis, out: &mut impl Write) -> io::Result<()> {
    if diagnosis.terms.is_empty() {
        return Ok(());
    }
    let (first, metric) = (&results.systems[0].name, results.metric_name(results.primary));
    writeln!(out, "\nwords of queries that cost {first} most {metric}")?;
    let mut rows = vec![vec!["word".to_owned(), "queries".into()]];
    rows[0].extend(results.systems.iter().map(|system| system.name.clone()));
    for term in &diagnosis.terms {
        let mut row = vec![term.word.clone(), term.queries.to_string()];
        row.extend(term.values.iter().map(|value| format!("{value:.4}")));
        rows.push(row);
    }
    write_aligned(&rows, out)
}

fn queries(count: usize) -> String {
    counted(count as u64, "query", "queries")
}
