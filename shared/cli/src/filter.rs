//! A filter, from its command line to its exit code.

use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{Command, Parser};
use nix::sys::signal::Signal;

use crate::args::ORT_LIBRARY;
use crate::environment::{ONNX_RUNTIME, start_with};
use crate::interrupt::Interrupted;
use crate::log::Level;
use crate::output::ClosedPipe;
use crate::panics::report_panics;
use crate::signals::{Signals, end_by};
use crate::{CommonArgs, EnvironmentSetting, Outcome, Session, descriptors, escape, man_page};

/// The flags of a filter.
pub trait Filter: Parser {
    /// The unit of work that it finishes before it ends on a signal, such as `batch`.
    const UNIT: &'static str;
    /// A command that `-h` shows.
    const EXAMPLE: &'static str;
    /// Settings that its libraries read from the environment when they are loaded.
    const SETTINGS: &'static [EnvironmentSetting] = &[];
    /// The flags that every filter has.
    fn common(&self) -> &CommonArgs;
}

/// Implements [`Filter`] for a parser whose field `common` is [`CommonArgs`], and tests that its flags are consistent.
///
/// ```text
/// filter!(Cli { unit: "batch", example: "embed --model BASE corpus.jsonl -o vectors.safetensors" });
/// filter!(Cli { unit: "step", example: "...", settings: SETTINGS });
/// ```
#[macro_export]
macro_rules! filter {
    ($cli:ident { unit: $unit:literal, example: $example:literal $(, settings: $settings:expr)? $(,)? }) => {
        impl $crate::Filter for $cli {
            const UNIT: &'static str = $unit;
            const EXAMPLE: &'static str = $example;
            $(const SETTINGS: &'static [$crate::EnvironmentSetting] = &$settings;)?

            fn common(&self) -> &$crate::CommonArgs {
                &self.common
            }
        }

        #[cfg(test)]
        #[test]
        fn flags_are_consistent() {
            <$cli as clap::CommandFactory>::command().help_expected(true).debug_assert();
        }
    };
}

/// Runs a filter: parses its flags, calls `body`, reports errors, and returns the exit code.
pub fn main<F: Filter>(body: fn(F, &Session) -> anyhow::Result<Outcome>) -> ExitCode {
    // Before any other thread exists, because a thread inherits the blocked signals of the one that starts it; and
    // before the program may execute itself again, which takes a while with large libraries.
    let signals = Signals::block();
    let filter = match parse::<F>() {
        Ok(Some(filter)) => filter,
        answer => {
            // There is no work to finish: a signal may end the program at once.
            signals.iter().for_each(Signals::release);
            return match answer {
                Err(refusal) if refusal.use_stderr() => refuse(&refusal),
                Err(answer) => answered::<F>(|_| answer.print()),
                Ok(_) => answered::<F>(|stdout| stdout.write_all(man_page::page(&F::command()).as_bytes())),
            };
        }
    };
    let session = match signals.and_then(|signals| {
        Session::new(F::command().get_name(), F::UNIT, filter.common().log_format, filter.common().level(), signals)
    }) {
        Ok(session) => session,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}: {error}", F::command().get_name());
            return ExitCode::from(2);
        }
    };
    report_panics(session.log.clone());
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(filter, &session)));
    finish(&session, result.unwrap_or_else(|_| Err(anyhow::Error::new(Reported))))
}

/// The command of a filter, whose `-h` ends with the filter's example.
fn command<F: Filter>() -> Command {
    let command = F::command().help_expected(true);
    let name = command.get_name();
    let after = format!("Example:\n  {}\n\n`{name} --help` explains all options.", F::EXAMPLE);
    command.after_help(after)
}

/// The flags, or `None` if the man page is to be printed, for which required operands may be missing.
///
/// The environment of the filter's libraries is set up first. Every flag must have a help text; `debug_assert` in each
/// filter's tests checks the rest.
fn parse<F: Filter>() -> Result<Option<F>, clap::Error> {
    let mut matches = command::<F>().try_get_matches()?;
    if matches.contains_id("generate") {
        return Ok(None);
    }
    let loads_ort = matches.try_contains_id(ORT_LIBRARY).is_ok();
    start_with(F::SETTINGS.iter().chain(ONNX_RUNTIME.iter().filter(|_| loads_ort)));
    F::from_arg_matches_mut(&mut matches).map(Some)
}

/// Reports a bad command line on stderr, in colour unless an argument has control characters.
fn refuse(refusal: &clap::Error) -> ExitCode {
    let plain = refusal.to_string();
    let is_plain =
        |argument: std::ffi::OsString| escape::line(&argument.to_string_lossy()) == argument.to_string_lossy();
    let _ = if std::env::args_os().all(is_plain) {
        refusal.print()
    } else {
        write!(io::stderr(), "{}", escape::lines(&plain))
    };
    ExitCode::from(2)
}

/// The exit code after help, version or man page were printed; a closed pipe is not an error here either.
fn answered<F: Filter>(answer: impl FnOnce(&mut io::Stdout) -> io::Result<()>) -> ExitCode {
    let mut stdout = io::stdout();
    let written = descriptors::stdout().and_then(|_| answer(&mut stdout)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "{}: <stdout>: {error}", F::command().get_name());
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn finish(session: &Session, result: anyhow::Result<Outcome>) -> ExitCode {
    if let Some(signal) = session.interrupt().signal() {
        if let Err(error) = &result
            && !error.is::<Reported>()
            && !chain_has::<Interrupted>(error)
        {
            session.log.write(Level::Error, &format!("{error:#}"));
        }
        if let Ok(signal) = Signal::try_from(signal) {
            end_by(signal);
        }
        return ExitCode::from(128 + signal as u8);
    }
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(1),
        Err(error) if chain_has::<ClosedPipe>(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<Reported>() {
                session.log.write(Level::Error, &format!("{error:#}"));
            }
            ExitCode::from(2)
        }
    }
}

/// Whether an error of this type caused `error`, possibly wrapped in an [`io::Error`].
fn chain_has<E: std::error::Error + 'static>(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<E>()
            || cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<E>())
    })
}

/// An error whose message is already on stderr.
#[derive(Debug, thiserror::Error)]
#[error("already reported")]
struct Reported;
