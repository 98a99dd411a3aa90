//! Weights that are no numbers are never saved.

use crate::start::{start, train};

#[test]
fn a_training_that_diverges_saves_nothing() {
    let folder = start();
    let before = folder.listing();
    let ran = train(&folder, "TUNED", "--learning-rate 1e30 --warmup-steps 0").ran().with_code(2);
    assert_eq!(ran.listing, before, "{ran}");
    let message = ran.stderr();
    assert!(message.contains("mnrl-train: step ") && message.contains("hint: lower --learning-rate"), "{ran}");
    assert!(!ran.stdout().contains("NaN") && !ran.stdout().contains("null"), "the log has numbers only\n{ran}");
}
