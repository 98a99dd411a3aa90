//! Reports of one value a line or cell: TSV, CSV and trec_eval's; the values of every query, and runs.

use std::io::{self, Write};

use anyhow::ensure;
use embtune_cli::Session;
use embtune_metrics::{Kind, Metric};
use embtune_records::Run;

use crate::measure::{Compat, st_header, trec_name};
use crate::results::{Results, SystemResults};

/// The columns of the comparison in TSV, which are empty for the first system.
const COMPARISON: &str = "difference\tci_low\tci_high\tp\tp_holm\tt_p\twilcoxon_p\teffect_size";

/// Writes one line for each system and metric.
pub(super) fn write_tsv(results: &Results, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "system\tmetric\tvalue\t{COMPARISON}")?;
    let empty = "\t".repeat(COMPARISON.matches('\t').count());
    for system in &results.systems {
        for metric in 0..results.metrics.len() {
            write!(out, "{}\t{}\t{}\t", system.name, results.metric_name(metric), results.value(system, metric))?;
            let Some(comparison) = system.comparisons.get(metric) else {
                writeln!(out, "{empty}")?;
                continue;
            };
            let values = [
                Some(comparison.difference),
                Some(comparison.interval.low),
                Some(comparison.interval.high),
                Some(comparison.randomisation.p),
                Some(comparison.holm),
                comparison.t_test.map(|test| test.p),
                Some(comparison.wilcoxon.p),
                comparison.effect_size,
            ];
            let cell = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            writeln!(out, "{}", values.map(cell).join("\t"))?;
        }
    }
    Ok(())
}

/// Writes one line for each measured query, with one column for each system and metric.
pub(super) fn write_per_query(results: &Results, out: &mut impl Write) -> io::Result<()> {
    write!(out, "query")?;
    for system in &results.systems {
        let mut metrics = 0..results.metrics.len();
        metrics.try_for_each(|metric| write!(out, "\t{}:{}", system.name, results.metric_name(metric)))?;
    }
    writeln!(out)?;
    for (row, query) in results.queries.iter().enumerate() {
        write!(out, "{}", query.id)?;
        for system in &results.systems {
            system.evaluation.values.iter().try_for_each(|values| write!(out, "\t{}", values[row]))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes one line for each system below a header, as sentence-transformers does with `--compat st`.
pub(super) fn write_csv(results: &Results, out: &mut impl Write) -> io::Result<()> {
    let is_st = results.names.compat == Some(Compat::St);
    let order = if is_st { st_order(&results.metrics) } else { (0..results.metrics.len()).collect() };
    // The file of sentence-transformers belongs to a training, and -1 is the end of it.
    let (header, first_cell): (&str, &dyn Fn(&SystemResults) -> String) =
        if is_st { ("epoch,steps", &|_| "-1,-1".into()) } else { ("system", &|system| system.name.clone()) };
    write!(out, "{header}")?;
    for metric in &order {
        match is_st {
            true => write!(out, ",{}-{}", results.names.similarity_name(), st_header(results.metrics[*metric]))?,
            false => write!(out, ",{}", results.metric_name(*metric))?,
        }
    }
    writeln!(out)?;
    for system in &results.systems {
        write!(out, "{}", first_cell(system))?;
        // Debug output has a decimal point in every number, as Python prints a float.
        order.iter().try_for_each(|metric| write!(out, ",{:?}", results.value(system, *metric)))?;
        writeln!(out)?;
    }
    Ok(())
}

/// The order of columns of InformationRetrievalEvaluator, in which precision and recall alternate.
fn st_order(metrics: &[Metric]) -> Vec<usize> {
    let key = |index: &usize| {
        let Metric { kind, k } = metrics[*index];
        match kind {
            Kind::Accuracy => (0, None, 0),
            Kind::Precision => (1, k, 0),
            Kind::Recall => (1, k, 1),
            Kind::Mrr => (2, None, 0),
            Kind::Ndcg => (3, None, 0),
            Kind::CappedMap => (4, None, 0),
            _ => (5, None, 0),
        }
    };
    let mut order: Vec<usize> = (0..metrics.len()).collect();
    order.sort_by_key(key);
    order
}

/// Writes a block for each system, whose lines are name, `all`, and the value with four decimals.
pub(super) fn write_trec(results: &Results, out: &mut impl Write) -> io::Result<()> {
    for system in &results.systems {
        write_line("runid", &system.name, out)?;
        write_line("num_q", &results.queries.len().to_string(), out)?;
        for (index, metric) in results.metrics.iter().enumerate() {
            write_line(&trec_name(*metric), &format!("{:.4}", system.evaluation.mean(index)), out)?;
        }
    }
    Ok(())
}

fn write_line(name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{name:<22}\tall\t{value}")
}

/// Writes the run of one system to the file named by `pattern`, in which `{}` is the system's name. The name is also
/// the tag of the run.
pub(crate) fn write_run(run: &Run, system: &str, pattern: &str, session: &Session) -> anyhow::Result<()> {
    let mut out = session.output(Some(pattern.replace("{}", system).as_ref()))?;
    for (query, documents) in &run.queries {
        for id in [query].into_iter().chain(documents.iter().map(|entry| &entry.document)) {
            ensure!(
                !id.contains(|c: char| c.is_ascii_whitespace()),
                "--run: id \"{id}\" contains white space, which TREC's format does not allow"
            );
        }
        embtune_records::write_run(query, documents, system, &mut out)?;
    }
    Ok(out.finish()?)
}
