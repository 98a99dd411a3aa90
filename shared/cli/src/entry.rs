//! From the command line to the exit code.

use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::Signal;

use crate::catch_panic::is_caught;
use crate::compute::ORT_LIBRARY;
use crate::environment::{ONNX_RUNTIME, start_with};
use crate::interrupt::Interrupted;
use crate::log::Level;
use crate::signals::{Signals, end_by};
use crate::{ClosedPipe, CommonArgs, EnvironmentSetting, Session, descriptors, generate, short_help, shown};

/// How a filter that did not fail has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked is done: exit code 0.
    Done,
    /// The answer is no, or records were skipped: exit code 1.
    Incomplete,
}

/// The flags of a filter.
pub trait Filter: Parser {
    /// What it finishes before it ends for a signal, such as `batch`.
    const UNIT: &'static str;
    /// A command that `-h` shows.
    const EXAMPLE: &'static str;
    /// Settings that its libraries find in the environment when they are loaded.
    const SETTINGS: &'static [EnvironmentSetting];
    /// The flags that every filter has.
    fn common(&self) -> &CommonArgs;
}

/// Implements [`Filter`] for a parser whose field `common` is [`CommonArgs`], and tests that its flags are consistent
/// and that its `-h` fits one screen.
///
/// ```ignore
/// filter!(Cli { unit: "batch", example: "embed --model BASE corpus.jsonl -o vectors.safetensors" });
/// filter!(Cli { unit: "step", example: "...", settings: SETTINGS });
/// ```
#[macro_export]
macro_rules! filter {
    ($cli:ident { unit: $unit:literal, example: $example:literal $(, settings: $settings:expr)? $(,)? }) => {
        $crate::filter!(@implement $cli, $unit, $example, $crate::filter!(@settings $($settings)?));

        #[cfg(test)]
        #[test]
        fn short_help_fits_one_screen() {
            $crate::check_short_help::<$cli>().unwrap();
        }
    };
    ($cli:ident, $unit:literal $(, $settings:expr)?) => {
        $crate::filter!(@implement $cli, $unit, "", $crate::filter!(@settings $($settings)?));
    };
    (@settings) => { [] };
    (@settings $settings:expr) => { $settings };
    (@implement $cli:ident, $unit:literal, $example:literal, $settings:expr) => {
        impl $crate::Filter for $cli {
            const UNIT: &'static str = $unit;
            const EXAMPLE: &'static str = $example;
            const SETTINGS: &'static [$crate::EnvironmentSetting] = &$settings;

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

/// Runs a filter: parses its flags, calls `body`, reports, and says the exit code.
pub fn main<F: Filter>(body: fn(F, &Session) -> anyhow::Result<Outcome>) -> ExitCode {
    // Before any other thread exists, since each inherits what is blocked from the one that starts it; and before the
    // program may start itself again, which takes a while for one with large libraries.
    let signals = Signals::block();
    let filter = match parse::<F>() {
        Ok(Some(filter)) => filter,
        answer => {
            // Nothing is asked to end here: it is printed, or the program ends at once.
            signals.iter().for_each(Signals::release);
            return match answer {
                Err(refusal) if refusal.use_stderr() => refuse(&refusal),
                Err(answer) => answered::<F>(|_| answer.print()),
                Ok(_) => answered::<F>(|stdout| generate::man(&F::command(), stdout)),
            };
        }
    };
    let session = match signals.and_then(|signals| Session::new::<F>(filter.common(), signals)) {
        Ok(session) => session,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}: {error}", F::command().get_name());
            return ExitCode::from(2);
        }
    };
    report_panics_as_errors(&session);
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(filter, &session)));
    finish(&session, result.unwrap_or_else(|_| Err(anyhow::Error::new(Reported))))
}

/// The flags, or `None` when the man page is asked for: the operands that a filter requires are then not there.
///
/// A filter first sees to the environment of its libraries. Every flag must have a help text; `debug_assert` in each
/// filter's tests checks the rest.
fn parse<F: Filter>() -> Result<Option<F>, clap::Error> {
    let mut matches = short_help::command::<F>().try_get_matches()?;
    if matches.contains_id("generate") {
        return Ok(None);
    }
    let loads_ort = matches.try_contains_id(ORT_LIBRARY).is_ok();
    start_with(F::SETTINGS.iter().chain(ONNX_RUNTIME.iter().filter(|_| loads_ort)));
    F::from_arg_matches_mut(&mut matches).map(Some)
}

/// Says on stderr what is wrong with the command line, in colours unless an argument would steer the terminal.
fn refuse(refusal: &clap::Error) -> ExitCode {
    let plain = refusal.to_string();
    let is_plain =
        |argument: std::ffi::OsString| shown::line(&argument.to_string_lossy()) == argument.to_string_lossy();
    let _ = if std::env::args_os().all(is_plain) {
        refusal.print()
    } else {
        write!(io::stderr(), "{}", shown::lines(&plain))
    };
    ExitCode::from(2)
}

/// The exit code after an answer on stdout that needed no run; a closed pipe is not an error here either.
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
            session.log(Level::Error, &format!("{error:#}"));
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
                session.log(Level::Error, &format!("{error:#}"));
            }
            ExitCode::from(2)
        }
    }
}

/// Whether an error of this type caused `error`, also from inside an [`io::Error`].
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

fn report_panics_as_errors(session: &Session) {
    let log = session.logger().clone();
    panic::set_hook(Box::new(move |info| {
        if is_caught() {
            return;
        }
        let place = info.location().map_or_else(|| "unknown place".into(), ToString::to_string);
        let what = info.payload_as_str().unwrap_or("no message");
        log.write(
            Level::Error,
            &format!("internal error at {place}: {what}\nhint: this is a bug in the program; please report it with the command and its input"),
        );
    }));
}
