//! The forms that a report takes, and the files it is written to.

mod delimited;
mod diagnosis;
mod html;
mod json;
mod table;
mod trec;

use std::path::PathBuf;

use clap::ValueEnum;
use embtune_cli::{Output, OutputFormat, Session};

use crate::diagnosis::Diagnosis;
use crate::results::Results;
use crate::texts::Texts;

pub(crate) use html::{PageSettings, TrainingLog};
pub(crate) use trec::write_run;

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

/// Where reports go.
pub(crate) struct OutputSettings {
    /// The file of the report; stdout if absent.
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: Format,
    /// Whether the report includes the diagnosis. A page always does.
    pub(crate) diagnose: bool,
    pub(crate) per_query: Option<PathBuf>,
    /// A page besides the report.
    pub(crate) html: Option<PathBuf>,
}

impl OutputSettings {
    /// Whether a page is written.
    pub(crate) fn has_page(&self) -> bool {
        self.html.is_some() || self.format == Format::Html
    }
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
    pub(crate) fn open(settings: &OutputSettings, session: &Session) -> anyhow::Result<Self> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| session.output(Some(path))).transpose();
        Ok(Self {
            format: settings.format,
            diagnose: settings.diagnose,
            report: session.output(settings.path.as_deref())?,
            per_query: open(&settings.per_query)?,
            html: open(&settings.html)?,
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
        page: &PageSettings,
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
            Format::Trec => trec::write(results, &mut out)?,
        }
        Ok(out.finish()?)
    }
}
