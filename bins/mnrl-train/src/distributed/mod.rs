//! Several processes as one: each computes the vectors of some rows of every batch, all of them take the same step.
//!
//! A batch is the same whatever the number of processes. Each process carries its rows through the network and gets the
//! vectors of all others, so that each has the whole batch's loss and its gradient by every vector; it carries those of
//! its own rows back. The sum of all processes' gradients is the gradient of one that has the whole batch, so that
//! nothing has to be scaled: neither the loss nor the learning rate. The upper layers' gradients are added up while the
//! lower layers' are computed.

mod buckets;
mod links;
mod pulse;
mod split;
mod team;
mod world;

pub(crate) use split::Split;
pub(crate) use team::Team;
pub(crate) use world::{Crew, World};
