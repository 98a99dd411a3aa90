//! The files that a report is written to.

use embtune_cli::{Output, Session};

use super::{Report, csv, diagnosis, html, json, latex, markdown, per_query, table, trec, tsv};
use crate::cli::{Cli, Format, OutputArgs};
use crate::diagnose::Diagnosis;
use crate::input::{Texts, TrainingLog};

/// Open files: a path that cannot be written costs no work.
pub(crate) struct Outputs {
    format: Format,
    report: Output,
    per_query: Option<Output>,
    html: Option<Output>,
}

impl Outputs {
    pub(crate) fn open(args: &OutputArgs, format: Format, session: &Session) -> anyhow::Result<Self> {
        Ok(Self {
            format,
            report: session.output(args.path.as_deref())?,
            per_query: args.per_query.as_deref().map(|path| session.output(Some(path))).transpose()?,
            html: args.html.as_deref().map(|path| session.output(Some(path))).transpose()?,
        })
    }

    /// Writes everything.
    ///
    /// # Errors
    /// A full disk, documents that cannot be read.
    pub(crate) fn write(
        self,
        cli: &Cli,
        report: &Report,
        diagnosed: Option<&Diagnosis>,
        texts: &Texts,
        training: Option<&TrainingLog>,
        session: &Session,
    ) -> anyhow::Result<()> {
        if let Some(mut out) = self.per_query {
            per_query::write(report, &mut out)?;
            out.finish()?;
        }
        let page = |out: &mut Output| match diagnosed {
            Some(diagnosis) => html::write(cli, report, diagnosis, texts, training, out, session),
            None => Ok(()),
        };
        if let Some(mut out) = self.html {
            page(&mut out)?;
            out.finish()?;
        }
        let mut out = self.report;
        let diagnosed = diagnosed.filter(|_| cli.output.diagnose);
        match self.format {
            Format::Html => page(&mut out)?,
            Format::Markdown => markdown::write(report, &mut out)?,
            Format::Table => {
                table::write(report, &mut out)?;
                diagnosed.map(|diagnosis| diagnosis::write(report, diagnosis, texts, &mut out)).transpose()?;
            }
            Format::Json => json::write(report, diagnosed, &mut out)?,
            Format::Tsv => tsv::write(report, &mut out)?,
            Format::Csv => csv::write(report, &mut out)?,
            Format::Trec => trec::write(report, &mut out)?,
            Format::Latex => latex::write(report, &mut out)?,
        }
        Ok(out.finish()?)
    }
}
