//! The prompts that the training pairs were made with, which become the trained model's prompts.

use anyhow::bail;
use embtune_model::{ModelDir, Role};

use super::shard_file::ShardFile;

/// The prefix of each text of a role; empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub(crate) query: String,
    pub(crate) document: String,
}

impl Prompts {
    /// The prompts of all shards.
    ///
    /// # Errors
    /// Shards with different prompts: a model can have only one per role.
    pub(crate) fn of(files: &[ShardFile]) -> anyhow::Result<Self> {
        let prompts = |file: &ShardFile| Self {
            query: file.shard.meta().query_prompt.clone(),
            document: file.shard.meta().document_prompt.clone(),
        };
        let Some(first) = files.first() else { bail!("no shards") };
        let all = prompts(first);
        if let Some(other) = files.iter().find(|file| prompts(file) != all) {
            let (differing, one, another) = match prompts(other) {
                others if others.query != all.query => ("queries", all.query, others.query),
                others => ("documents", all.document, others.document),
            };
            bail!(
                "{} has the prompt {one:?} before its {differing}, but {} has {another:?}: a model has one prompt for each role\n\
                 hint: run pairs2shards again, with the same --query-prompt and --document-prompt for all pairs",
                first.name,
                other.name
            );
        }
        Ok(all)
    }

    /// A notice for users of the model if its prompts change.
    pub(crate) fn changes(&self, base: &ModelDir) -> Option<String> {
        let sides = [(Role::Query, &self.query, "queries"), (Role::Document, &self.document, "documents")];
        let changes: Vec<_> = sides
            .into_iter()
            .filter(|(role, prompt, _)| base.prompt(Some(*role)) != prompt.as_str())
            .map(|(role, prompt, texts)| format!("{prompt:?} before {texts} (base: {:?})", base.prompt(Some(role))))
            .collect();
        (!changes.is_empty())
            .then(|| format!("the trained model's prompts are those of the pairs: {}", changes.join(", ")))
    }
}
