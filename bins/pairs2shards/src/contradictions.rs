//! Texts that are there with two labels or scores, of which one is wrong.

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Contradictions {
    count: u64,
    /// What the first one is.
    first: Option<String>,
}

impl Contradictions {
    /// Notes one; what it is, is only asked of the first.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }

    /// Adds those that were found later.
    pub(crate) fn add(&mut self, later: Self) {
        self.count += later.count;
        self.first = self.first.take().or(later.first);
    }

    /// The warning, if there are any.
    pub(crate) fn warning(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!(
            "{} pairs contradict an earlier one: the same texts with another label or score ({first})\n\
             hint: all of them are in the shard; take out those that are wrong",
            self.count
        ))
    }
}
