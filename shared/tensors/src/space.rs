//! Whether vectors can be compared.

use crate::{Embeddings, TensorsError};

/// Refuses a file of queries and one of documents that do not belong together: made for the other role, by another
/// model, or with another number of elements.
///
/// # Errors
/// [`TensorsError::Space`], which says what differs.
pub fn check_same_space(queries: &Embeddings, corpus: &Embeddings) -> Result<(), TensorsError> {
    for (file, foreign) in [(queries, "document"), (corpus, "query")] {
        if file.meta().is_some_and(|meta| meta.role.as_deref() == Some(foreign)) {
            let what = format!(
                "{}: its vectors were made with --role {foreign}\nhint: the file of queries and that of documents may be swapped",
                file.name()
            );
            return Err(TensorsError::Space(what));
        }
    }
    if !queries.is_empty() && !corpus.is_empty() && queries.dim() != corpus.dim() {
        let (a, b) = (queries.dim(), corpus.dim());
        let what = format!("{} has vectors of {a} elements, {} of {b}", queries.name(), corpus.name());
        return Err(TensorsError::Space(what));
    }
    match (queries.meta(), corpus.meta()) {
        (Some(a), Some(b)) if a.model != b.model || a.pooling != b.pooling => {
            Err(TensorsError::Space(format!("{} and {} were made by different models", queries.name(), corpus.name())))
        }
        _ => Ok(()),
    }
}
