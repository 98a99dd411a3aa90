//! The estimate as a table.

use std::fmt;

use embtune_cli::{format_duration, group_digits};

use super::estimate::{Memory, Plan};

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
        if let (Some(rate), Some(epoch), Some(seconds)) = (self.tokens_per_sec, self.epoch_seconds, self.seconds) {
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
            let verdict = if self.fits == Some(true) { "it fits" } else { "it does not fit" };
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
    use super::super::estimate::Costs;
    use super::super::estimate::tests::{costs, steps};
    use super::super::plan;

    #[test]
    fn the_table_is_readable() {
        let plan = plan(3, steps(), &costs(50, 0), Some(1 << 30), Some(0.125));
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
        assert_eq!(plan.to_string(), expected);
        let several = super::super::plan(3, steps(), &Costs { processes: 2, ..costs(50, 0) }, None, None).to_string();
        assert!(several.contains("\nmemory at the peak, of each of 2 processes\nweights  "), "{several}");
        let expected = "
sent in a step, by each of 2 processes
gradients                 2,344 kB
vectors                       1 kB
";
        assert!(several.ends_with(expected), "{several}");
    }

    #[test]
    fn the_estimate_is_serialised() {
        let plan = plan(3, steps(), &costs(50, 0), None, None);
        let json = serde_json::to_value(&plan).unwrap();
        assert_eq!(json["memory"]["total"], plan.memory.total);
        assert_eq!((&json["steps"], &json["fits"], &json["seconds"]), (&3.into(), &().into(), &().into()));
    }
}
