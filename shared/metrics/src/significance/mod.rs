//! Tests and estimates from paired differences, one number a query.

mod bootstrap;
mod effect;
mod holm;
mod randomisation;
mod t_test;
mod wilcoxon;

pub use bootstrap::{Interval, bootstrap_interval};
pub use effect::effect_size;
pub use holm::holm;
pub use randomisation::{Randomisation, randomisation_test};
pub use t_test::{TTest, paired_t_test};
pub use wilcoxon::{Wilcoxon, wilcoxon_test};
