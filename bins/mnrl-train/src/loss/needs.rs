//! The columns of the shards that a loss reads besides token ids, and the check that they exist.

use anyhow::ensure;

/// The columns of the shards that a loss reads besides token ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Whether the loss compares a pair with its own negatives only, so that the shards must have some.
    pub(crate) negatives: bool,
    pub(crate) scores: Scores,
    /// Whether the loss reads a guide model's vectors.
    pub(crate) guide: bool,
}

/// How a loss uses the scores of positives and negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scores {
    /// Not at all.
    #[default]
    Unused,
    /// As labels, if all scores of a batch are 0 or 1: those of `mine-negatives` are not. Without labels the loss needs
    /// negatives.
    Labels,
    /// As they are; every positive and negative must have one.
    Required,
}

/// The columns of the shards besides anchors and positives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ShardColumns {
    /// Whether some pair has a negative.
    pub(crate) negatives: bool,
    /// Whether every positive and negative has a score.
    pub(crate) scores: bool,
    /// Whether all scores are 0 or 1.
    pub(crate) labels: bool,
    /// Number of positives with the label 0.
    pub(crate) labelled_0: usize,
    /// Whether every row has a guide model's vector.
    pub(crate) guide: bool,
}

impl Needs {
    /// Refuses shards that lack a column that the loss needs; `loss` is its name.
    ///
    /// # Errors
    /// The error names the missing column and the program that adds it.
    pub(crate) fn check(&self, loss: &str, columns: ShardColumns) -> anyhow::Result<()> {
        ensure!(
            columns.negatives || !self.negatives,
            "--loss {loss} needs negatives, but no pair has one\nhint: mine-negatives adds them"
        );
        ensure!(
            columns.negatives || columns.labels || self.scores != Scores::Labels,
            "--loss {loss} needs negatives, or labels of 0 and 1: positives alone would make all vectors the same\nhint: mine-negatives adds negatives; pairs2shards reads labels from the pairs' field \"label\""
        );
        ensure!(
            columns.scores || self.scores != Scores::Required,
            "--loss {loss} needs a score of each positive and negative\nhint: pairs2shards reads them from the pairs' field \"scores\""
        );
        ensure!(
            columns.guide || !self.guide,
            "--loss {loss} needs a guide model's vectors\nhint: pairs2shards reads them with --guide-queries and --guide-corpus"
        );
        Ok(())
    }

    /// A warning about labels that the loss does not read.
    pub(crate) fn unread_labels(&self, loss: &str, columns: ShardColumns) -> Option<String> {
        let count = Some(columns.labelled_0).filter(|count| *count > 0 && self.scores == Scores::Unused)?;
        let (pairs, have) = if count == 1 { ("pair", "has") } else { ("pairs", "have") };
        Some(format!(
            "{count} {pairs} {have} the label 0, which --loss {loss} does not read: their positives are trained as answers\n\
             hint: --loss contrastive reads labels; for another loss, leave these pairs out, or make them negatives"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::LossArgs;
    use super::*;

    fn needs(flags: &str) -> Needs {
        LossArgs::parse(flags).unwrap().objective(384).unwrap().loss.needs()
    }

    #[test]
    fn shards_must_have_what_the_loss_needs() {
        let columns = |letters: &str| ShardColumns {
            negatives: letters.contains('n'),
            scores: letters.contains('s'),
            labels: letters.contains('l'),
            labelled_0: 0,
            guide: letters.contains('g'),
        };
        for (flags, enough, too_little) in [
            ("", vec![""], vec![]),
            ("--loss symmetric", vec![""], vec![]),
            ("--loss triplet", vec!["n"], vec!["", "sg"]),
            ("--loss contrastive", vec!["n", "sl"], vec!["", "g", "s"]),
            ("--loss cosent", vec!["s"], vec!["", "ng"]),
            ("--loss margin-mse", vec!["ns"], vec!["", "n", "s"]),
            ("--loss gist", vec!["g"], vec!["", "ns"]),
        ] {
            for letters in enough {
                needs(flags).check("x", columns(letters)).unwrap();
            }
            for letters in too_little {
                let message = needs(flags).check("x", columns(letters)).unwrap_err().to_string();
                assert!(message.starts_with("--loss x needs") && message.contains("\nhint: "), "{flags}: {message}");
            }
        }
    }

    #[test]
    fn unread_labels_are_worth_a_warning() {
        let columns = |labelled_0| ShardColumns { scores: true, labels: true, labelled_0, ..ShardColumns::default() };
        for flags in ["", "--loss symmetric", "--loss triplet", "--loss gist"] {
            let warning = |count| needs(flags).unread_labels("x", columns(count));
            let found = warning(3).unwrap();
            assert!(found.starts_with("3 pairs have the label 0, which --loss x ") && found.contains("\nhint: "));
            assert!(warning(1).unwrap().starts_with("1 pair has the label 0, "));
            assert_eq!(warning(0), None);
        }
        assert_eq!(needs("--loss contrastive").unread_labels("x", columns(3)), None);
    }
}
