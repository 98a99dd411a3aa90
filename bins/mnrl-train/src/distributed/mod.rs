//! Several processes that train one model: each computes the vectors of some rows of every batch, and all of them take
//! the same step.
//!
//! A batch does not depend on the number of processes. Each process sends its rows through the network and receives the
//! vectors of all others, so that each computes the whole batch's loss and its gradient with respect to every vector;
//! the backward pass covers the process's own rows. The sum of the processes' gradients is the gradient that a single
//! process would compute, so that neither the loss nor the learning rate is scaled. The gradients of upper layers are
//! summed while those of lower layers are still being computed.

mod buckets;
mod heartbeat;
mod peers;
mod process_group;
mod rendezvous;
mod row_assignment;

pub(crate) use process_group::ProcessGroup;
pub(crate) use rendezvous::{RankInfo, Rendezvous};
pub(crate) use row_assignment::RowAssignment;
