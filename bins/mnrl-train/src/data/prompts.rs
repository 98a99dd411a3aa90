//! The prompts that the training pairs were made with: the trained model's from then on.

use anyhow::bail;
use embtune_model::{ModelDir, Role};

use crate::data::shards::Source;

/// What stands before each text of a role; empty where nothing does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub(crate) query: String,
    pub(crate) document: String,
}

impl Prompts {
    /// Those of all shards.
    ///
    /// # Errors
    /// Shards with different prompts, of which a model could have one only.
    pub(crate) fn of(sources: &[Source]) -> anyhow::Result<Self> {
        let prompts = |source: &Source| Self {
            query: source.shard.meta().query_prompt.clone(),
            document: source.shard.meta().document_prompt.clone(),
        };
        let Some(first) = sources.first() else { bail!("no shards") };
        let all = prompts(first);
        if let Some(other) = sources.iter().find(|source| prompts(source) != all) {
            let (differing, one, another) = match prompts(other) {
                others if others.query != all.query => ("queries", all.query, others.query),
                others => ("documents", all.document, others.document),
            };
            bail!(
                "{} has the prompt {one:?} before its {differing}, and {} has {another:?}: a model has one for each role\n\
                 hint: run pairs2shards again, with the same --query-prompt and --document-prompt for all pairs",
                first.name,
                other.name
            );
        }
        Ok(all)
    }

    /// What changes for those who use the model, if anything does.
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
