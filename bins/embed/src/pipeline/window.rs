//! What goes from one stage to the next.

use embtune_tokenize::Tokens;

use crate::input::records::Entry;
use crate::kept::answer::Answer;
use crate::kept::known::Key;
use crate::long::Division;

/// Records on their way to their vectors.
pub(crate) struct Tokenised {
    pub(crate) records: Vec<Entry>,
    /// One for each record.
    pub(crate) keys: Vec<Key>,
    /// What was known of each record without the model.
    pub(crate) known: Vec<Option<Answer>>,
    /// The tokens of the others, in order, and how their texts were divided into them.
    pub(crate) rows: Vec<Tokens>,
    pub(crate) divisions: Vec<Division>,
}

/// Records with what the model made of each, in the order in which they were read.
pub(crate) struct Embedded {
    pub(crate) records: Vec<Entry>,
    pub(crate) answers: Vec<(Key, Answer)>,
}
