//! The model's weights: which of them are trained, how, and in which form.

pub(crate) mod lora;
pub(crate) mod param_groups;
pub(crate) mod parameters;
