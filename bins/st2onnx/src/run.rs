//! What st2onnx does.

use std::io::Write as _;

use embtune_cli::{Outcome, Session};
use embtune_model::ModelDir;
use embtune_onnx::{PORTABLE_FILE, portable};

use crate::cli::Cli;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let model = ModelDir::open(&cli.model)?;
    let onnx = portable(&model)?;
    let file = cli.model.join(PORTABLE_FILE);
    let mut out = session.output(Some(&file))?;
    out.write_all(&onnx)?;
    out.finish()?;
    session.info(format!("wrote {}, {} bytes", file.display(), onnx.len()));
    Ok(Outcome::Done)
}
