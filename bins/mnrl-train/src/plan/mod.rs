//! `--plan`: what a training will take, before it begins.

#![allow(dead_code, unused_imports, reason = "the trainer uses them next")]

mod available;
mod estimate;
mod table;

pub(crate) use available::available_memory;
pub(crate) use estimate::{Costs, Memory, Plan, StepRows, plan};
