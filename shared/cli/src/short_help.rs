//! What `-h` prints: the flags that matter first, an example, and where the rest is.
//!
//! A flag that few need has `hide_short_help = true` and is explained by `--help` and the man page only.

use clap::{ColorChoice, Command};

use crate::Filter;

/// Most lines of `-h`, so that it fits one screen.
const MOST_LINES: usize = 40;
/// Most columns of a line.
const MOST_COLUMNS: usize = 100;

/// The command of a filter, whose `-h` ends with the filter's example.
pub(crate) fn command<F: Filter>() -> Command {
    let command = F::command().help_expected(true);
    if F::EXAMPLE.is_empty() {
        return command;
    }
    let name = command.get_name();
    let after = format!("Example:\n  {}\n\n`{name} --help` explains all options.", F::EXAMPLE);
    command.after_help(after)
}

/// Checks that `-h` of a filter fits one screen: for its tests.
///
/// # Errors
/// What does not fit.
pub fn check_short_help<F: Filter>() -> Result<(), String> {
    let mut command = command::<F>().color(ColorChoice::Never).term_width(MOST_COLUMNS);
    let help = command.render_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().collect();
    if lines.len() > MOST_LINES {
        return Err(format!("-h has {} lines, more than {MOST_LINES}:\n{help}", lines.len()));
    }
    if let Some(line) = lines.iter().find(|line| line.chars().count() > MOST_COLUMNS) {
        return Err(format!("-h has a line of more than {MOST_COLUMNS} columns: {line}"));
    }
    match lines.last() {
        Some(last) if last.contains("--help") => Ok(()),
        _ => Err(format!("the last line of -h does not name --help:\n{help}")),
    }
}
