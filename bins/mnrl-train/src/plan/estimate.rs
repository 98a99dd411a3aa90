//! Steps, tokens and peak memory, computed from the lengths of the rows.

use std::fmt;

use embtune_cli::{format_duration, group_digits};
use embtune_torch::{all_gather_bytes, all_reduce_bytes};

use crate::distributed::RowAssignment;

/// The rows of a batch.
pub(crate) struct BatchRows {
    /// Number of pairs, and thus of anchors; all other rows are documents.
    pub(crate) pairs: usize,
    /// Number of tokens of every row, anchors and documents, in any order.
    pub(crate) lengths: Vec<usize>,
}

/// The costs of a model on this device, at this precision.
pub(crate) struct Costs<'a> {
    /// Number of parameters of the model.
    pub(crate) parameters: u64,
    /// Number of trained parameters, each with a gradient and two moments.
    pub(crate) trainable: u64,
    /// Bytes per parameter of copies of the weights: 2 for bf16 weights, 4 for those with LoRA in fp32 and for a moving
    /// average.
    pub(crate) copy_bytes: u64,
    /// Bytes that the graph keeps for each token of a row of this length; never falls with the length.
    pub(crate) bytes_per_token: &'a dyn Fn(usize) -> f64,
    /// Bytes of the loss of this many pairs and documents, with its gradient.
    pub(crate) loss_bytes: &'a dyn Fn(usize, usize) -> u64,
    /// Elements of a vector; every row has a vector and its gradient.
    pub(crate) hidden: usize,
    /// Bytes of the program itself and its libraries.
    pub(crate) program: u64,
    /// Tokens of a micro-batch; a longer row is a micro-batch of its own.
    pub(crate) batch_tokens: usize,
    /// Tokens whose graphs are kept from the first forward pass; the others are computed again, one micro-batch at a
    /// time.
    pub(crate) live_tokens: usize,
    /// Number of processes that share the rows of each batch.
    pub(crate) processes: usize,
}

/// Bytes that each process uses at the peak of the largest step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) weights: u64,
    pub(crate) copies: u64,
    pub(crate) gradients: u64,
    pub(crate) moments: u64,
    pub(crate) activations: u64,
    pub(crate) loss: u64,
    pub(crate) program: u64,
    pub(crate) total: u64,
}

/// Bytes that each process sends to others in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) gradients: u64,
    pub(crate) vectors: u64,
}

/// The estimate of a training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) epochs: u32,
    pub(crate) steps: u64,
    /// Tokens of all steps.
    pub(crate) tokens: u64,
    pub(crate) largest_batch_tokens: u64,
    pub(crate) longest_row_tokens: u64,
    pub(crate) processes: usize,
    pub(crate) memory: Memory,
    /// Bytes that each process sends to others in the largest step: parts of the gradient's sum, and vectors.
    pub(crate) sent: Sent,
    /// Bytes that are available on the device, if they are known.
    pub(crate) available: Option<u64>,
    /// Measured on a few micro-batches.
    pub(crate) tokens_per_sec: Option<f64>,
}

/// Estimates a training from all its steps, each of some batches, as the sampler draws them.
///
/// Memory is an upper bound if `costs` are upper bounds: the longest rows are assumed to be those whose graphs are
/// kept.
pub(crate) fn plan(
    epochs: u32,
    steps: impl IntoIterator<Item = Vec<BatchRows>>,
    costs: &Costs<'_>,
    available: Option<u64>,
    tokens_per_sec: Option<f64>,
) -> Plan {
    let (mut count, mut tokens, mut largest, mut longest) = (0, 0, 0, 0);
    let (mut activations, mut loss, mut vectors) = (0, 0, 0);
    let bytes_of_vectors = |rows: usize| 4 * (rows * costs.hidden) as u64;
    for step in steps {
        count += 1;
        let mut sent = 0;
        for BatchRows { pairs, lengths } in step {
            let batch: usize = lengths.iter().sum();
            tokens += batch as u64;
            largest = largest.max(batch as u64);
            longest = longest.max(lengths.iter().copied().max().unwrap_or(0) as u64);
            let assignment = RowAssignment::new(&lengths, costs.processes);
            for rank in 0..costs.processes {
                let mut own: Vec<_> = assignment.rows(rank).iter().map(|row| lengths[*row]).collect();
                own.sort_unstable_by(|a, b| b.cmp(a));
                let row = own.first().copied().unwrap_or(0);
                let live = costs.live_tokens.saturating_add(costs.batch_tokens.max(row));
                activations = activations.max(graph_bytes(&own, live, costs.bytes_per_token));
            }
            // Each process computes the loss of the whole batch.
            let documents = lengths.len().saturating_sub(pairs);
            loss = loss.max(2 * bytes_of_vectors(lengths.len()) + (costs.loss_bytes)(pairs, documents));
            sent += all_gather_bytes(costs.processes, bytes_of_vectors(assignment.max_rows()));
        }
        vectors = vectors.max(sent);
    }
    let mut memory = Memory {
        weights: 4 * costs.parameters,
        copies: costs.copy_bytes * costs.parameters,
        gradients: 4 * costs.trainable,
        moments: 8 * costs.trainable,
        activations,
        loss,
        program: costs.program,
        total: 0,
    };
    let Memory { weights, copies, gradients, moments, program, .. } = memory;
    memory.total = weights + copies + gradients + moments + activations + loss + program;
    Plan {
        epochs,
        steps: count,
        tokens,
        largest_batch_tokens: largest,
        longest_row_tokens: longest,
        processes: costs.processes,
        memory,
        sent: Sent { gradients: all_reduce_bytes(costs.processes, 4 * costs.trainable), vectors },
        available,
        tokens_per_sec,
    }
}

/// Bytes of the graphs of rows, longest first, up to `budget` tokens.
fn graph_bytes(lengths: &[usize], budget: usize, bytes_per_token: &dyn Fn(usize) -> f64) -> u64 {
    let (mut left, mut bytes) = (budget, 0.0);
    for length in lengths {
        let tokens = (*length).min(left);
        bytes += tokens as f64 * bytes_per_token(*length);
        left -= tokens;
    }
    bytes.ceil() as u64
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16}{:>15}", "epochs", self.epochs)?;
        for (name, number) in [
            ("steps", self.steps),
            ("tokens", self.tokens),
            ("largest batch", self.largest_batch_tokens),
            ("longest text", self.longest_row_tokens),
        ] {
            let unit = if name == "steps" || name == "tokens" { "" } else { " tokens" };
            writeln!(f, "{name:<16}{:>15}{unit}", group_digits(number))?;
        }
        if let Some(rate) = self.tokens_per_sec {
            let seconds = self.tokens as f64 / rate;
            let epoch = seconds / f64::from(self.epochs);
            writeln!(f, "{:<16}{:>15} tokens/s", "speed", group_digits(rate as u64))?;
            writeln!(f, "{:<16}{:>15}", "time per epoch", format_duration(epoch))?;
            writeln!(f, "{:<16}{:>15}", "time", format_duration(seconds))?;
        }
        let several = self.processes > 1;
        let whose = if several { format!(", of each of {} processes", self.processes) } else { String::new() };
        writeln!(f, "\nmemory at the peak{whose}")?;
        let Memory { weights, copies, gradients, moments, activations, loss, program, total } = self.memory;
        for (name, bytes) in [
            ("weights", weights),
            ("their copies", copies),
            ("gradients", gradients),
            ("moments", moments),
            ("activations", activations),
            ("loss", loss),
            ("program", program),
            ("total", total),
        ] {
            writeln!(f, "{name:<16}{:>15} MB", group_digits(bytes.div_ceil(1 << 20)))?;
        }
        if let Some(available) = self.available {
            let verdict = if self.memory.total <= available { "it fits" } else { "it does not fit" };
            writeln!(f, "{:<16}{:>15} MB: {verdict}", "available", group_digits(available >> 20))?;
        }
        if several {
            writeln!(f, "\nsent in a step, by each of {} processes", self.processes)?;
            for (name, bytes) in [("gradients", self.sent.gradients), ("vectors", self.sent.vectors)] {
                writeln!(f, "{name:<16}{:>15} kB", group_digits(bytes.div_ceil(1 << 10)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 bytes per token, and one more for each token of its row.
    fn bytes_per_token(length: usize) -> f64 {
        (1000 + length) as f64
    }

    fn loss_bytes(pairs: usize, documents: usize) -> u64 {
        12 * (pairs * documents) as u64
    }

    fn costs(batch_tokens: usize, live_tokens: usize) -> Costs<'static> {
        Costs {
            parameters: 1_000_000,
            trainable: 600_000,
            copy_bytes: 2,
            bytes_per_token: &bytes_per_token,
            loss_bytes: &loss_bytes,
            hidden: 10,
            program: 5,
            batch_tokens,
            live_tokens,
            processes: 1,
        }
    }

    fn steps() -> Vec<Vec<BatchRows>> {
        vec![
            vec![BatchRows { pairs: 2, lengths: vec![10, 20, 100, 300] }],
            vec![BatchRows { pairs: 1, lengths: vec![30, 40, 50] }],
            vec![BatchRows { pairs: 0, lengths: vec![] }],
        ]
    }

    #[test]
    fn everything_is_counted() {
        let plan = plan(2, steps(), &costs(1 << 20, 0), Some(30_000_000), Some(0.1));
        assert_eq!((plan.steps, plan.tokens, plan.largest_batch_tokens, plan.longest_row_tokens), (3, 550, 430, 300));
        assert!(plan.to_string().contains(" 45 min 50 s\ntime                 1 h 31 min\n"), "{plan}");
        let expected = Memory {
            weights: 4_000_000,
            copies: 2_000_000,
            gradients: 2_400_000,
            moments: 4_800_000,
            activations: 10 * 1010 + 20 * 1020 + 100 * 1100 + 300 * 1300,
            loss: 2 * 4 * 4 * 10 + 12 * 2 * 2,
            program: 5,
            total: 13_730_873,
        };
        assert_eq!(plan.memory, expected);
        assert!(plan.to_string().contains("MB: it fits\n"));
    }

    #[test]
    fn only_kept_graphs_need_memory() {
        let activations = |batch, live| plan(1, steps(), &costs(batch, live), None, None).memory.activations;
        // The longest row is a micro-batch of its own.
        assert_eq!(activations(50, 0), 300 * 1300);
        assert_eq!(activations(50, 60), 300 * 1300 + 60 * 1100);
        assert_eq!(activations(350, 0), 300 * 1300 + 50 * 1100);
        assert_eq!(activations(50, 1 << 40), activations(1 << 40, 0));
        assert_eq!(activations(usize::MAX, usize::MAX), activations(1 << 40, 0));
    }

    #[test]
    fn processes_share_rows_and_send_gradients_and_vectors() {
        let of = |processes, step| plan(1, [step], &Costs { processes, ..costs(1 << 20, 0) }, None, None);
        let steps = || steps().into_iter().flatten().collect::<Vec<_>>();
        let [one, two] = [1, 2].map(|processes| of(processes, steps()));
        assert_eq!((one.steps, one.sent), (1, Sent::default()));
        assert_eq!((two.steps, two.tokens, two.memory.loss), (1, one.tokens, one.memory.loss));
        // One process has the longest row only; the most rows are three of the first batch, and two of the second.
        assert_eq!(two.memory.activations, 300 * 1300);
        assert_eq!(two.sent, Sent { gradients: 2 * 4 * 600_000 / 2, vectors: (3 + 2) * 4 * 10 });
        assert_eq!(of(4, steps()).sent, Sent { gradients: 2 * 3 * 600_000, vectors: 3 * (1 + 1) * 4 * 10 });
    }

    #[test]
    fn it_fits_if_the_total_fits() {
        let total = plan(1, steps(), &costs(50, 0), None, None).memory.total;
        for (available, verdict) in
            [(None, ""), (Some(total), "MB: it fits\n"), (Some(total - 1), "MB: it does not fit\n")]
        {
            let table = plan(1, steps(), &costs(50, 0), available, None).to_string();
            assert!(table.ends_with(verdict) && table.contains("it fits") == (verdict == "MB: it fits\n"), "{table}");
        }
    }

    #[test]
    fn the_table_is_readable() {
        let table = plan(3, steps(), &costs(50, 0), Some(1 << 30), Some(0.125));
        let expected = "\
epochs                        3
steps                         3
tokens                      550
largest batch               430 tokens
longest text                300 tokens
speed                         0 tokens/s
time per epoch      24 min 27 s
time                 1 h 13 min

memory at the peak
weights                       4 MB
their copies                  2 MB
gradients                     3 MB
moments                       5 MB
activations                   1 MB
loss                          1 MB
program                       1 MB
total                        13 MB
available                 1,024 MB: it fits
";
        assert_eq!(table.to_string(), expected);
        let several = plan(3, steps(), &Costs { processes: 2, ..costs(50, 0) }, None, None).to_string();
        assert!(several.contains("\nmemory at the peak, of each of 2 processes\nweights  "), "{several}");
        let expected = "
sent in a step, by each of 2 processes
gradients                 2,344 kB
vectors                       1 kB
";
        assert!(several.ends_with(expected), "{several}");
    }
}
