//! The flags of the loss, and the objective that they describe.

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum as _};
use embtune_cli::value_name;

use super::contrastive::Contrastive;
use super::cosent::CoSent;
use super::gist::{Gist, GistArgs};
use super::margin_mse::MarginMse;
use super::mnrl::Mnrl;
use super::objective::LossKind;
use super::shared_args::SharedArgs;
use super::triplet::{Triplet, TripletArgs};
use super::{Loss, Objective};

/// The flags of the loss. Without the flag, each loss has its own default.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Loss")]
pub(crate) struct LossArgs {
    /// Loss to minimise
    #[arg(long = "loss", value_name = "LOSS", default_value = "mnrl", help_heading = "Training")]
    kind: LossKind,

    #[command(flatten)]
    shared: SharedArgs,

    #[command(flatten)]
    triplet: TripletArgs,

    #[command(flatten)]
    gist: GistArgs,

    /// Train vectors truncated to these sizes, the largest first, as in 384,256,128
    ///
    /// The loss is the sum over the sizes, on vectors that are normalised after the truncation. Whole vectors are
    /// trained if their size is in the list.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', hide_short_help = true)]
    matryoshka: Vec<usize>,

    /// Use rows with the same text, document id or group as each other's negatives
    #[arg(long, hide_short_help = true)]
    no_mask: bool,
}

impl LossArgs {
    /// The objective for vectors of a size.
    ///
    /// # Errors
    /// A flag that the loss does not have, or values that contradict each other.
    pub(crate) fn objective(&self, size: usize) -> anyhow::Result<Objective> {
        let loss = self.build(self.kind)?;
        self.check_flags(&*loss)?;
        self.check_matryoshka(size)?;
        let sizes = self.matryoshka.iter().map(|size| *size as i64).collect();
        Ok(Objective { kind: self.kind, loss, sizes, no_mask: self.no_mask })
    }

    fn build(&self, kind: LossKind) -> anyhow::Result<Box<dyn Loss>> {
        Ok(match kind {
            LossKind::Mnrl => Box::new(Mnrl::new(&self.shared)?),
            LossKind::Symmetric => Box::new(Mnrl::symmetric(&self.shared)),
            LossKind::Triplet => Box::new(Triplet::new(&self.shared, &self.triplet)),
            LossKind::Contrastive => Box::new(Contrastive::new(&self.shared)),
            LossKind::Cosent => Box::new(CoSent::new(&self.shared)),
            LossKind::MarginMse => Box::new(MarginMse::new(&self.shared)),
            LossKind::Gist => Box::new(Gist::new(&self.shared, &self.gist)?),
        })
    }

    fn check_flags(&self, loss: &dyn Loss) -> anyhow::Result<()> {
        let given = [
            ("--scale", self.shared.scale.is_some()),
            ("--similarity", self.shared.similarity.is_some()),
            ("--directions", self.shared.directions.is_some()),
            ("--margin", self.shared.margin.is_some()),
            ("--distance", self.triplet.distance.is_some()),
            ("--margin-strategy", self.gist.margin_strategy.is_some()),
            ("--no-mask", self.no_mask),
        ];
        let not_its_own = |(flag, given): &(&str, bool)| *given && !loss.flags().contains(flag);
        if let Some((flag, _)) = given.into_iter().find(not_its_own) {
            let mut with_flag = Vec::new();
            for kind in LossKind::value_variants() {
                if Self::default().build(*kind)?.flags().contains(&flag) {
                    with_flag.push(value_name(*kind));
                }
            }
            let (name, others) = (value_name(self.kind), with_flag.join(", "));
            bail!("--loss {name} has no {flag}\nhint: {flag} is for {others}");
        }
        Ok(())
    }

    fn check_matryoshka(&self, size: usize) -> anyhow::Result<()> {
        ensure!(
            self.matryoshka.iter().all(|cut| (1..=size).contains(cut)),
            "--matryoshka takes sizes from 1 to that of the model's vectors, {size}"
        );
        ensure!(self.matryoshka.is_sorted_by(|a, b| a > b), "--matryoshka takes different sizes, the largest first");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const SIZE: usize = 384;

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Flags {
        #[command(flatten)]
        loss: LossArgs,
    }

    impl LossArgs {
        /// Parses flags as a user types them.
        pub(crate) fn parse(flags: &str) -> Result<Self, clap::Error> {
            Flags::try_parse_from(flags.split_whitespace()).map(|flags| flags.loss)
        }
    }

    fn objective(flags: &str) -> Objective {
        LossArgs::parse(flags).unwrap().objective(SIZE).unwrap()
    }

    /// The first line of the refusal.
    fn refusal(flags: &str) -> String {
        let error = match LossArgs::parse(flags) {
            Ok(args) => args.objective(SIZE).err().unwrap_or_else(|| panic!("{flags} is accepted")).to_string(),
            Err(error) => error.to_string(),
        };
        error.lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_loss_describes_itself() {
        for (flags, expected) in [
            ("", "MultipleNegativesRankingLoss, cosine, scale 20"),
            (
                "--directions q2q,d2q,q2d,d2q --similarity dot --scale 1",
                "MultipleNegativesRankingLoss, dot product, scale 1, directions q2d d2q q2q, joint",
            ),
            ("--loss symmetric", "MultipleNegativesRankingLoss, cosine, scale 20, directions q2d d2q, per-direction"),
            ("--loss triplet --matryoshka 384,64", "TripletLoss, euclidean distance, margin 5, Matryoshka at 384, 64"),
            ("--loss contrastive", "ContrastiveLoss, margin 0.5"),
            ("--loss cosent", "CoSENTLoss, cosine, scale 20"),
            ("--loss margin-mse", "MarginMSELoss, dot product"),
            ("--loss gist", "GISTEmbedLoss, scale 100, absolute margin 0, directions q2d q2q d2d"),
            ("--loss gist --directions q2d", "GISTEmbedLoss, scale 100, absolute margin 0"),
        ] {
            assert_eq!(objective(flags).to_string(), expected, "{flags}");
        }
    }

    #[test]
    fn flags_of_other_losses_are_refused() {
        let flags = [
            ("--scale 2", "mnrl symmetric cosent gist"),
            ("--similarity cosine", "mnrl symmetric cosent margin-mse"),
            ("--directions q2d", "mnrl gist"),
            ("--margin 1", "triplet contrastive gist"),
            ("--distance cosine", "triplet"),
            ("--margin-strategy relative", "gist"),
            ("--no-mask", "mnrl symmetric triplet contrastive gist"),
            ("--matryoshka 64", "mnrl symmetric triplet contrastive cosent margin-mse gist"),
        ];
        for (flag, losses) in flags {
            for loss in ["mnrl", "symmetric", "triplet", "contrastive", "cosent", "margin-mse", "gist"] {
                let flags = format!("--loss {loss} {flag}");
                if losses.split(' ').any(|other| other == loss) {
                    assert_eq!(objective(&flags).name(), loss);
                } else {
                    let name = flag.split(' ').next().unwrap();
                    assert_eq!(refusal(&flags), format!("--loss {loss} has no {name}"));
                }
            }
        }
        let message = LossArgs::parse("--loss cosent --margin 1").unwrap().objective(SIZE).err().unwrap().to_string();
        assert!(message.ends_with("\nhint: --margin is for triplet, contrastive, gist"), "{message}");
    }

    #[test]
    fn impossible_values_are_refused() {
        for (flags, part) in [
            ("--scale 0", "above 0"),
            ("--scale nan", "above 0"),
            ("--loss gist --scale -1", "unexpected argument"),
            ("--loss triplet --margin inf", "not negative"),
            ("--directions d2q", "lacks q2d"),
            ("--directions", "value is required"),
            ("--directions q2d,x", "invalid value"),
            ("--loss gist --directions q2d,d2q", "no direction d2q"),
            ("--matryoshka 385", "from 1 to"),
            ("--matryoshka 64,0", "from 1 to"),
            ("--matryoshka 64,64", "largest first"),
            ("--matryoshka 64,128", "largest first"),
        ] {
            let message = refusal(flags);
            assert!(message.contains(part), "{flags}: {message}");
        }
    }

    /// Every later version compares its own values with what a checkpoint stores, so these texts must not change.
    #[test]
    fn stored_losses_do_not_change() {
        for (flags, stored) in [
            (
                "--directions q2d,d2q,q2q,d2d --no-mask",
                r#"{"--loss":"mnrl","--scale":20.0,"--similarity":"cosine","--directions":["q2d","d2q","q2q","d2d"],"partition":"joint","--matryoshka":[],"--no-mask":true}"#,
            ),
            (
                "--loss symmetric --similarity dot --matryoshka 384,64",
                r#"{"--loss":"symmetric","--scale":20.0,"--similarity":"dot","--directions":["q2d","d2q"],"partition":"per-direction","--matryoshka":[384,64],"--no-mask":false}"#,
            ),
            (
                "--loss triplet",
                r#"{"--loss":"triplet","--distance":"euclidean","--margin":5.0,"--matryoshka":[],"--no-mask":false}"#,
            ),
            (
                "--loss triplet --distance cosine --margin 0.5",
                r#"{"--loss":"triplet","--distance":"cosine","--margin":0.5,"--matryoshka":[],"--no-mask":false}"#,
            ),
            (
                "--loss triplet --distance manhattan",
                r#"{"--loss":"triplet","--distance":"manhattan","--margin":5.0,"--matryoshka":[],"--no-mask":false}"#,
            ),
            ("--loss contrastive", r#"{"--loss":"contrastive","--margin":0.5,"--matryoshka":[],"--no-mask":false}"#),
            (
                "--loss cosent",
                r#"{"--loss":"cosent","--scale":20.0,"--similarity":"cosine","--matryoshka":[],"--no-mask":false}"#,
            ),
            (
                "--loss margin-mse",
                r#"{"--loss":"margin-mse","--similarity":"dot","--matryoshka":[],"--no-mask":false}"#,
            ),
            (
                "--loss gist",
                r#"{"--loss":"gist","--scale":100.0,"--margin-strategy":"absolute","--margin":0.0,"--directions":["q2d","q2q","d2d"],"--matryoshka":[],"--no-mask":false}"#,
            ),
            (
                "--loss gist --margin-strategy relative --directions q2d",
                r#"{"--loss":"gist","--scale":100.0,"--margin-strategy":"relative","--margin":0.0,"--directions":["q2d"],"--matryoshka":[],"--no-mask":false}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&objective(flags).values()).unwrap(), stored, "{flags}");
        }
    }
}
