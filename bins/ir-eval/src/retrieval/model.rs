//! The vectors of a model that is evaluated directly, as `embed` would make them.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Device, Session, counted};
use embtune_encode::{Encoder, EncoderOptions, Precision};
use embtune_model::{AnyModelDir, Role};
use embtune_records::{Document, Judgments, Records};
use embtune_tensors::{Embeddings, EmbeddingsMeta, EmbeddingsWriter, VectorType};

use super::search::Vectors;

/// Texts that are encoded together: enough of them to sort by length.
const WINDOW: usize = 4096;

/// How models are run, and on which texts.
#[derive(Debug, Clone)]
pub(crate) struct ModelSettings {
    pub(crate) queries: Option<PathBuf>,
    pub(crate) corpus: Option<PathBuf>,
    /// Whether Hugging Face names are looked up in the local cache only.
    pub(crate) offline: bool,
    pub(crate) device: Device,
    pub(crate) threads: usize,
    pub(crate) ort_library: Option<PathBuf>,
}

impl ModelSettings {
    /// The directory of the model with this name; `None` if the name is that of a file.
    ///
    /// `runs/bm25` could also be a Hugging Face name. If there is a folder `runs`, it is a file that is missing.
    pub(super) fn locate(&self, name: &Path) -> anyhow::Result<Option<PathBuf>> {
        let owner = name.parent().filter(|owner| owner.components().count() == 1);
        let is_hub_name = !name.exists() && owner.is_some_and(|owner| !owner.is_dir() && name.is_relative());
        if !name.is_dir() && !is_hub_name {
            return Ok(None);
        }
        Ok(Some(embtune_model::locate(&name.display().to_string(), self.offline)?))
    }

    /// Embeds the judged queries and all documents into files in `folder`.
    pub(super) fn embed(
        &self,
        model: &Path,
        folder: &Path,
        judgments: &Judgments,
        session: &Session,
    ) -> anyhow::Result<Vectors> {
        let (Some(queries), Some(corpus)) = (&self.queries, &self.corpus) else {
            bail!("{}: a model needs texts\nhint: add --queries FILE and --corpus FILE", model.display());
        };
        let model = AnyModelDir::open_any(model)?;
        let judged: HashSet<&str> = judgments.ids().collect();
        let work = Work { settings: self, model: &model, folder, session };
        Ok(Vectors {
            queries: work.embed(queries, Role::Query, |id| judged.contains(id))?,
            corpus: work.embed(corpus, Role::Document, |_| true)?,
            full: None,
        })
    }
}

struct Work<'a> {
    settings: &'a ModelSettings,
    model: &'a AnyModelDir,
    folder: &'a Path,
    session: &'a Session,
}

impl Work<'_> {
    fn embed(&self, texts: &Path, role: Role, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Embeddings> {
        let mut encoder = Encoder::load(self.model, &self.options(role))?;
        if let Some(guess) = encoder.pooling_guess().filter(|_| role == Role::Query) {
            self.session.warn(guess);
        }
        let mut writer = EmbeddingsWriter::new(self.folder, encoder.dim(), VectorType::F32)?;
        let input = self.session.input(texts)?;
        let mut records = Records::<Document, _>::with_default_limit(input.name.clone(), input);
        let progress = self.session.progress(None, "texts");
        let (mut seen, hasher) = (HashSet::new(), RandomState::new());
        let mut empty = 0_u64;
        loop {
            self.session.interrupt().check()?;
            let mut window: Vec<Document> = Vec::new();
            while window.len() < WINDOW
                && let Some(record) = records.next()
            {
                let record = record?;
                let id = record.id();
                ensure!(seen.insert(hasher.hash_one(id)), records.error(format!("duplicate id \"{id}\"")));
                if wanted(id) {
                    window.push(record);
                }
            }
            if window.is_empty() {
                break;
            }
            let texts: Vec<_> = window.iter().map(Document::full_text).collect();
            let encoded = encoder.encode(&texts)?;
            empty += encoded.empty;
            for (record, vector) in window.iter().zip(encoded.vectors.chunks_exact(encoder.dim())) {
                writer.push(record.id(), vector)?;
            }
            progress.add(window.len() as u64);
        }
        if empty > 0 {
            let (file, texts) = (texts.display(), counted(empty, "text", "texts"));
            self.session.warn(format!("{file}: {texts} without tokens, embedded as vectors of zeros"));
        }
        let name = match role {
            Role::Query => "queries",
            Role::Document => "documents",
        };
        let path = self.folder.join(name);
        let mut file = File::create(&path).with_context(|| path.display().to_string())?;
        writer.finish(self.meta(role, &encoder)?, &mut file)?;
        let vectors = Embeddings::open(&path).with_context(|| format!("{}", texts.display()))?;
        ensure!(!vectors.is_empty(), "{}: contains none of the {name} that are needed", texts.display());
        Ok(vectors)
    }

    fn options(&self, role: Role) -> EncoderOptions<'_> {
        EncoderOptions {
            prompt: self.model.prompt(Some(role)),
            max_seq_length: None,
            normalize: self.model.normalizes(),
            precision: Precision::Fp32,
            batch_tokens: None,
            device: self.settings.device,
            threads: self.settings.threads,
            profile: false,
            ort_library: self.settings.ort_library.as_deref(),
        }
    }

    fn meta(&self, role: Role, encoder: &Encoder) -> anyhow::Result<EmbeddingsMeta> {
        Ok(EmbeddingsMeta {
            model: self.model.fingerprint()?,
            pooling: self.model.pooling().to_string(),
            prompt: self.model.prompt(Some(role)).to_owned(),
            normalized: self.model.normalizes(),
            precision: encoder.precision().to_string(),
            max_seq_length: encoder.max_seq_length(),
            ..EmbeddingsMeta::default()
        })
    }
}
