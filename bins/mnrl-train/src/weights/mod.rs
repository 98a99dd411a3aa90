//! The model's weights: which are trained, in which form, and what becomes of them.

pub(crate) mod groups;
pub(crate) mod lora;
pub(crate) mod merge;
pub(crate) mod parameters;
