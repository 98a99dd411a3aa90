//! A run of st2onnx.

use std::io::Write as _;

use embtune_cli::{Outcome, Session};
use embtune_model::{ModelDir, missing_tokenizer_files};
use embtune_onnx::{PORTABLE_FILE, portable_encoder};
use embtune_tensors::report_truncated_files;

use crate::cli::Cli;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let model = ModelDir::open(&cli.model)?;
    let onnx = portable_encoder(&model)?;
    // The graph refers to the weights by their file name, and must be in the same folder.
    let folder = model.encoder_folder();
    let write = |name: &str, content: &[u8]| -> anyhow::Result<()> {
        session.interrupt().check()?;
        let file = folder.join(name);
        let mut out = session.output(Some(&file))?;
        out.write_all(content)?;
        out.finish()?;
        session.info(format!("wrote {}, {} bytes", file.display(), content.len()));
        Ok(())
    };
    for (name, content) in missing_tokenizer_files(&model)? {
        // A file that exists may have been edited by the user.
        if !folder.join(name).exists() {
            write(name, format!("{content:#}\n").as_bytes())?;
        }
    }
    write(PORTABLE_FILE, &onnx)?;
    Ok(Outcome::Done)
}
