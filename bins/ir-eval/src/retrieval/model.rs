//! The vectors of a model that is evaluated directly, as `embed` would make them.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::counted;
use embtune_encode::{Encoder, EncoderOptions, Precision};
use embtune_model::{AnyModelDir, Role};
use embtune_records::{Document, Judgments, Records};
use embtune_tensors::{Embeddings, EmbeddingsMeta, EmbeddingsWriter, VectorType};

use super::Retriever;
use super::search::Vectors;

/// Texts that are encoded together: enough of them to sort by length.
const WINDOW: usize = 4096;

impl Retriever<'_> {
    /// The directory of the model with this name; `None` if the name is that of a file.
    ///
    /// `runs/bm25` could also be a Hugging Face name. If there is a folder `runs`, it is a file that is missing.
    pub(super) fn locate_model(&self, name: &Path) -> anyhow::Result<Option<PathBuf>> {
        let owner = name.parent().filter(|owner| owner.components().count() == 1);
        let is_hub_name = !name.exists() && owner.is_some_and(|owner| !owner.is_dir() && name.is_relative());
        if !name.is_dir() && !is_hub_name {
            return Ok(None);
        }
        Ok(Some(embtune_model::locate(&name.display().to_string(), self.input.hub.offline)?))
    }

    /// Embeds the judged queries and all documents into files in `folder`.
    pub(super) fn embed(&self, model: &Path, folder: &Path, judgments: &Judgments) -> anyhow::Result<Vectors> {
        let (Some(queries), Some(corpus)) = (&self.input.queries, &self.input.corpus) else {
            bail!("{}: a model needs texts\nhint: add --queries FILE and --corpus FILE", model.display());
        };
        let model = AnyModelDir::open_any(model)?;
        let judged: HashSet<&str> = judgments.ids().collect();
        Ok(Vectors {
            queries: self.embed_texts(&model, queries, Role::Query, folder, |id| judged.contains(id))?,
            corpus: self.embed_texts(&model, corpus, Role::Document, folder, |_| true)?,
            full: None,
        })
    }

    fn embed_texts(
        &self,
        model: &AnyModelDir,
        texts: &Path,
        role: Role,
        folder: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Embeddings> {
        let options = EncoderOptions {
            prompt: model.prompt(Some(role)),
            max_seq_length: None,
            normalize: model.normalizes(),
            precision: Precision::Fp32,
            batch_tokens: None,
            device: self.ort.compute.device,
            threads: self.ort.compute.threads.count(),
            profile: false,
            ort_library: self.ort.ort_library.as_deref(),
        };
        let mut encoder = Encoder::load(model, &options)?;
        if let Some(guess) = encoder.pooling_guess().filter(|_| role == Role::Query) {
            self.session.warn(guess);
        }
        let mut writer = EmbeddingsWriter::new(folder, encoder.dim(), VectorType::F32)?;
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
        let name = if role == Role::Query { "queries" } else { "documents" };
        let path = folder.join(name);
        let mut file = File::create(&path).with_context(|| path.display().to_string())?;
        let meta = EmbeddingsMeta {
            model: model.fingerprint()?,
            pooling: model.pooling().to_string(),
            prompt: model.prompt(Some(role)).to_owned(),
            normalized: model.normalizes(),
            precision: encoder.precision().to_string(),
            max_seq_length: encoder.max_seq_length(),
            ..EmbeddingsMeta::default()
        };
        writer.finish(meta, &mut file)?;
        let vectors = Embeddings::open(&path).with_context(|| format!("{}", texts.display()))?;
        ensure!(!vectors.is_empty(), "{}: contains none of the {name} that are needed", texts.display());
        Ok(vectors)
    }
}
