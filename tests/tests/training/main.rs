//! What mnrl-train promises of long trainings: no work is lost, and no bad weights are saved.

mod dev;
mod distributed;
mod divergence;
mod killed;
mod learnt;
mod losses;
mod lost;
mod options;
mod prompts;
mod refusals;
mod signals;
mod start;
mod torchrun;
mod trajectories;
mod weights;
