//! From operands to rankings, and to what else is read.

mod examine;
mod model;
mod retrieve;
mod system;
mod texts;
mod training_log;
mod vectors;

pub(crate) use model::ModelSettings;
pub(crate) use retrieve::Retriever;
pub(crate) use system::System;
pub(crate) use texts::{Texts, common_words, words};
pub(crate) use training_log::TrainingLog;
pub(crate) use vectors::{SearchSettings, VectorSearch};
