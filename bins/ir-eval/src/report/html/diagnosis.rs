//! When fine-tuning is needed, in figures.

use serde::Serialize;

use super::super::Report;
use super::class;
use super::stories::{Shown, Story, story};
use super::track::{Track, ends};
use crate::diagnose::{CONTEXT_RECALL, Diagnosis as Diagnosed, Findings};

/// The section.
#[derive(Serialize)]
pub(super) struct Diagnosis {
    k: usize,
    line: f64,
    systems: Vec<System>,
    /// Whether any system has score margins.
    has_margins: bool,
    moves: Vec<Moved>,
    terms: Vec<Word>,
    examples: Vec<Story>,
}

#[derive(Serialize)]
struct System {
    name: String,
    class: String,
    recall: String,
    recall_width: String,
    enough: bool,
    all_irrelevant: Share,
    intruded: Share,
    margin: Option<Margin>,
}

#[derive(Serialize)]
struct Share {
    count: usize,
    percent: String,
}

#[derive(Serialize)]
struct Margin {
    /// From the 5th to the 95th percentile, and the middle half.
    outer: Track,
    inner: Track,
    median: String,
    positive: usize,
    queries: usize,
}

#[derive(Serialize)]
struct Moved {
    name: String,
    gained: usize,
    lost: usize,
}

#[derive(Serialize)]
struct Word {
    word: String,
    queries: usize,
    values: Vec<String>,
}

pub(super) fn section(report: &Report, diagnosed: &Diagnosed, texts: &Shown<'_>) -> Diagnosis {
    let margins = diagnosed.findings.iter().filter_map(|findings| findings.margins.as_ref());
    let ends = ends(margins.flat_map(|margins| [margins.quantile(0.05), margins.quantile(0.95)]));
    let systems = report.systems.iter().zip(&diagnosed.findings).enumerate();
    let moves = report.compared().iter().zip(&diagnosed.moves);
    // Of the last system: what is still wrong.
    let last = report.systems.len() - 1;
    let examples = diagnosed.findings[last].examples.iter();
    Diagnosis {
        k: diagnosed.k,
        line: CONTEXT_RECALL,
        has_margins: diagnosed.findings.iter().any(|findings| findings.margins.is_some()),
        systems: systems.map(|(index, (system, findings))| of(index, &system.name, findings, ends)).collect(),
        moves: moves
            .map(|(system, moves)| Moved {
                name: system.name.clone(),
                gained: moves.gained.len(),
                lost: moves.lost.len(),
            })
            .collect(),
        terms: diagnosed
            .terms
            .iter()
            .map(|term| Word {
                word: term.word.clone(),
                queries: term.queries,
                values: term.values.iter().map(|value| format!("{value:.3}")).collect(),
            })
            .collect(),
        examples: examples.map(|intrusion| story(report, intrusion.query, &[last], texts)).collect(),
    }
}

fn of(index: usize, name: &str, findings: &Findings, ends: (f64, f64)) -> System {
    let share = |count: usize| Share {
        count,
        percent: format!("{:.1}", 100.0 * count as f64 / findings.queries.max(1) as f64),
    };
    System {
        name: name.to_owned(),
        class: class(index),
        recall: format!("{:.4}", findings.context_recall),
        recall_width: format!("{:.2}%", 100.0 * findings.context_recall),
        enough: findings.context_recall >= CONTEXT_RECALL,
        all_irrelevant: share(findings.all_irrelevant),
        intruded: share(findings.intruded),
        margin: findings.margins.as_ref().map(|margins| {
            let [low, quarter, median, three, high] =
                [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| margins.quantile(share));
            Margin {
                outer: Track::new(ends, (low, high), median),
                inner: Track::new(ends, (quarter, three), median),
                median: super::figures::signed(median),
                positive: margins.positive(),
                queries: margins.sorted.len(),
            }
        }),
    }
}
