//! What the flags make, and what they refuse.

use clap::Parser;

use super::{LossArgs, Supply};

const SIZE: usize = 384;

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Flags {
    #[command(flatten)]
    loss: LossArgs,
}

impl LossArgs {
    /// From flags as a person types them.
    pub(crate) fn parse(flags: &str) -> Result<Self, clap::Error> {
        Flags::try_parse_from(flags.split_whitespace()).map(|flags| flags.loss)
    }
}

fn args(flags: &str) -> LossArgs {
    LossArgs::parse(flags).unwrap()
}

/// The first line of what is wrong.
fn refusal(flags: &str) -> String {
    let error = match LossArgs::parse(flags) {
        Ok(args) => args.objective(SIZE).err().unwrap_or_else(|| panic!("{flags} is taken")).to_string(),
        Err(error) => error.to_string(),
    };
    error.lines().next().unwrap().to_owned()
}

#[test]
fn a_loss_says_what_it_is() {
    for (flags, expected) in [
        ("", "MultipleNegativesRankingLoss, cosine, scale 20"),
        (
            "--directions q2q,d2q,q2d,d2q --similarity dot --scale 1 --hardness-mode all --hardness-strength 0.5",
            "MultipleNegativesRankingLoss, dot product, scale 1, directions q2d d2q q2q, joint, hardness all 0.5",
        ),
        ("--loss symmetric", "MultipleNegativesRankingLoss, cosine, scale 20, directions q2d d2q, per-direction"),
        ("--loss triplet --matryoshka 384,64", "TripletLoss, euclidean distance, margin 5, Matryoshka at 384, 64"),
        ("--loss contrastive", "ContrastiveLoss, margin 0.5"),
        ("--loss cosent", "CoSENTLoss, cosine, scale 20"),
        ("--loss margin-mse", "MarginMSELoss, dot product"),
        ("--loss gist", "GISTEmbedLoss, temperature 0.01, absolute margin 0, directions q2d q2q d2d"),
        ("--loss gist --directions q2d", "GISTEmbedLoss, temperature 0.01, absolute margin 0"),
    ] {
        assert_eq!(args(flags).objective(SIZE).unwrap().to_string(), expected, "{flags}");
    }
}

#[test]
fn flags_of_other_losses_are_refused() {
    let flags = [
        ("--scale 2", "mnrl symmetric cosent"),
        ("--similarity cosine", "mnrl symmetric cosent margin-mse"),
        ("--directions q2d", "mnrl gist"),
        ("--partition joint", "mnrl"),
        ("--hardness-mode all --hardness-strength 1", "mnrl"),
        ("--margin 1", "triplet contrastive gist"),
        ("--distance cosine", "triplet"),
        ("--temperature 1", "gist"),
        ("--margin-strategy relative", "gist"),
        ("--no-mask", "mnrl symmetric triplet contrastive gist"),
        ("--matryoshka 64", "mnrl symmetric triplet contrastive cosent margin-mse gist"),
    ];
    for (flag, losses) in flags {
        for loss in ["mnrl", "symmetric", "triplet", "contrastive", "cosent", "margin-mse", "gist"] {
            let flags = format!("--loss {loss} {flag}");
            if losses.split(' ').any(|other| other == loss) {
                args(&flags).objective(SIZE).unwrap();
            } else {
                let name = flag.split(' ').next().unwrap();
                assert_eq!(refusal(&flags), format!("--loss {loss} has no {name}"));
            }
        }
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (flags, part) in [
        ("--scale 0", "above 0"),
        ("--scale nan", "above 0"),
        ("--loss gist --temperature -1", "unexpected argument"),
        ("--loss triplet --margin inf", "not negative"),
        ("--directions d2q", "lacks q2d"),
        ("--directions", "value is required"),
        ("--directions q2d,x", "invalid value"),
        ("--loss gist --directions q2d,d2q", "no direction d2q"),
        ("--directions q2d,q2q --partition per-direction", "does not go with"),
        ("--directions q2d,d2d --partition per-direction", "does not go with"),
        ("--hardness-mode all", "required"),
        ("--hardness-strength 2", "required"),
        ("--matryoshka 385", "from 1 to"),
        ("--matryoshka 64,0", "from 1 to"),
        ("--matryoshka 64,64", "largest first"),
        ("--matryoshka 64,128", "largest first"),
    ] {
        let message = refusal(flags);
        assert!(message.contains(part), "{flags}: {message}");
    }
}

#[test]
fn cut_vectors_alone_are_worth_a_warning() {
    assert!(args("--matryoshka 256,128").warning(SIZE).unwrap().contains("put 384 first"));
    assert_eq!(args("--matryoshka 384,128").warning(SIZE), None);
    assert_eq!(args("").warning(SIZE), None);
}

#[test]
fn shards_have_to_have_what_the_loss_reads() {
    let supply = |letters: &str| Supply {
        negatives: letters.contains('n'),
        scores: letters.contains('s'),
        labels: letters.contains('l'),
        far: 0,
        guide: letters.contains('g'),
    };
    for (flags, enough, too_little) in [
        ("", vec![""], vec![]),
        ("--loss symmetric", vec![""], vec![]),
        ("--hardness-mode in-batch --hardness-strength 9", vec![""], vec![]),
        ("--hardness-mode hard --hardness-strength 5", vec!["n"], vec!["", "sg"]),
        ("--loss triplet", vec!["n"], vec!["", "sg"]),
        ("--loss contrastive", vec!["n", "sl"], vec!["", "g", "s"]),
        ("--loss cosent", vec!["s"], vec!["", "ng"]),
        ("--loss margin-mse", vec!["ns"], vec!["", "n", "s"]),
        ("--loss gist", vec!["g"], vec!["", "ns"]),
    ] {
        let args = args(flags);
        for letters in enough {
            args.check_supply(supply(letters)).unwrap();
        }
        for letters in too_little {
            let message = args.check_supply(supply(letters)).unwrap_err().to_string();
            assert!(message.contains("needs") && message.contains("\nhint: "), "{flags}: {message}");
        }
    }
}

#[test]
fn labels_that_are_not_read_are_worth_a_warning() {
    let supply = |far| Supply { scores: true, labels: true, far, ..Supply::default() };
    for flags in ["", "--loss symmetric", "--loss triplet", "--loss gist"] {
        let warning = args(flags).unread_labels(supply(3)).unwrap();
        assert!(
            warning.starts_with("3 pairs have the label 0, which --loss ") && warning.contains("\nhint: "),
            "{warning}"
        );
        assert_eq!(args(flags).unread_labels(supply(0)), None);
    }
    assert_eq!(args("--loss contrastive").unread_labels(supply(3)), None);
}
