//! The forms that a report takes, and the files it is written to.

mod delimited;
mod diagnosis;
mod html;
mod json;
mod table;

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use embtune_cli::{Output, OutputFormat, Session, output_path_parser};

use crate::diagnosis::Diagnosis;
use crate::results::Results;
use crate::texts::Texts;

pub(crate) use delimited::write_run;
pub(crate) use html::{PageSettings, TrainingLog};

/// Form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns and a verdict, for people
    Table,
    /// One object, for programs
    Json,
    /// One line for each system and metric
    Tsv,
    /// One line for each system
    Csv,
    /// As trec_eval prints it, a block for each system
    Trec,
    /// A table for a README or a comment, and a verdict
    Markdown,
    /// One page that needs no network
    Html,
}

impl OutputFormat for Format {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Table => &["txt", "text", "log"],
            Self::Json => &["json"],
            Self::Tsv => &["tsv", "tab"],
            Self::Csv => &["csv"],
            Self::Trec => &["trec", "eval", "txt", "text", "log"],
            Self::Markdown => &["md", "markdown"],
            Self::Html => &["html", "htm"],
        }
    }
}

/// Where the results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the report to this file, which appears whole or not at all
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Form of the report [default: by the file's extension, else table]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<Format>,

    /// Also say where and why relevant documents are missed
    ///
    /// For the forms table and json; a page always does. The diagnosis says whether the relevant documents are found at
    /// all (below 0.75, a system that answers from what it retrieves has too little to go by), which documents are
    /// ranked above them and by how much, which words the failing queries contain (with --queries), and which queries
    /// were gained and lost.
    #[arg(long)]
    pub(crate) diagnose: bool,

    /// Write the values of every query to this file, as TSV
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["tsv", "tab"]), hide_short_help = true)]
    pub(crate) per_query: Option<PathBuf>,

    /// Write what was retrieved to this file, as a TREC run
    ///
    /// `{}` in the file's name is replaced with the system's name. It is required if there are several systems.
    #[arg(long, value_name = "FILE", value_parser = run_pattern(), hide_short_help = true)]
    pub(crate) run: Option<String>,

    /// Write everything to this file as one page that needs no network
    #[arg(long, value_name = "FILE", value_parser = output_path_parser(&["html", "htm"]))]
    pub(crate) html: Option<PathBuf>,
}

/// A file name, which may contain a placeholder for the system's name.
fn run_pattern() -> impl TypedValueParser<Value = String> {
    output_path_parser(&["run", "trec"]).try_map(|path| path.into_os_string().into_string().map_err(|_| "not UTF-8"))
}

/// The open files of the reports. They are opened early, so that a path that cannot be written costs no work.
pub(crate) struct Outputs {
    format: Format,
    diagnose: bool,
    report: Output,
    per_query: Option<Output>,
    html: Option<Output>,
}

impl Outputs {
    pub(crate) fn open(args: &OutputArgs, format: Format, session: &Session) -> anyhow::Result<Self> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| session.output(Some(path))).transpose();
        Ok(Self {
            format,
            diagnose: args.diagnose,
            report: session.output(args.path.as_deref())?,
            per_query: open(&args.per_query)?,
            html: open(&args.html)?,
        })
    }

    /// Writes everything. `texts` are those of the queries.
    ///
    /// # Errors
    /// A full disk, or documents that cannot be read.
    pub(crate) fn write(
        self,
        results: &Results,
        diagnosis: Option<&Diagnosis>,
        texts: &Texts,
        page: &PageSettings<'_>,
        session: &Session,
    ) -> anyhow::Result<()> {
        if let Some(mut out) = self.per_query {
            delimited::write_per_query(results, &mut out)?;
            out.finish()?;
        }
        let write_page = |out: &mut Output| match diagnosis {
            Some(diagnosis) => html::write(page, results, diagnosis, texts, out, session),
            None => Ok(()),
        };
        if let Some(mut out) = self.html {
            write_page(&mut out)?;
            out.finish()?;
        }
        let mut out = self.report;
        let diagnosis = diagnosis.filter(|_| self.diagnose);
        match self.format {
            Format::Html => write_page(&mut out)?,
            Format::Markdown => table::write_markdown(results, &mut out)?,
            Format::Table => {
                table::write(results, &mut out)?;
                diagnosis.map(|diagnosis| diagnosis::write(results, diagnosis, texts, &mut out)).transpose()?;
            }
            Format::Json => json::write(results, diagnosis, &mut out)?,
            Format::Tsv => delimited::write_tsv(results, &mut out)?,
            Format::Csv => delimited::write_csv(results, &mut out)?,
            Format::Trec => delimited::write_trec(results, &mut out)?,
        }
        Ok(out.finish()?)
    }
}
