//! Estimated similarities compared with exact ones, and finding near-duplicates among many texts.

use embtune_text::{MinHash, NearDuplicates, Shingles, jaccard};
use proptest::prelude::*;

/// Sentence `n` of a text without repetitions.
fn sentence(n: usize) -> String {
    format!("Clause {n} of contract {} speaks of subject {} and of sum {}. ", n * 31, n * 7919, n * 104_729)
}

/// Two texts that share the sentences from `skip` on.
fn shifted(skip: usize, length: usize) -> (String, String) {
    let text = |range: std::ops::Range<usize>| range.map(sentence).collect::<String>();
    (text(0..length), text(skip..length + skip))
}

#[test]
fn the_estimate_is_unbiased() {
    for (skip, length) in [(1, 4), (2, 10), (5, 40), (20, 40), (200, 400)] {
        let mut error = 0.0;
        for start in 0..40 {
            let (a, b) = shifted(skip, length);
            let (a, b) = (format!("{a}{}", sentence(start + 9000)), format!("{b}{}", sentence(start + 9000)));
            let estimate = MinHash::of(&a).unwrap().jaccard(&MinHash::of(&b).unwrap());
            error += estimate - jaccard(&a, &b);
        }
        assert!((error / 40.0).abs() < 0.06, "{skip} {length}: {}", error / 40.0);
    }
}

#[test]
fn near_duplicates_are_found_and_others_are_not() {
    let mut seen = NearDuplicates::new(0.8, usize::MAX);
    let text = |n: usize| (10 * n..10 * n + 10).map(sentence).collect::<String>();
    for n in 0..1000 {
        assert_eq!(seen.insert(n as u64, &text(n)), None, "{n}");
    }
    for n in 0..1000 {
        let near = text(n).replacen("speaks of", "tells of", 2) + "And so it ends.";
        let similarity = jaccard(&near, &text(n));
        assert!(similarity > 0.9, "{similarity}");
        assert_eq!(seen.insert(9999, &near), Some(n as u64));
    }
    assert_eq!(seen.insert(1, ""), None);
    assert_eq!(seen.insert(2, "?"), None, "a text without words has no duplicates");
}

#[test]
fn no_more_texts_than_the_limit_are_remembered() {
    let mut seen = NearDuplicates::new(0.8, 2);
    for n in 0..3 {
        assert_eq!(seen.insert(n, &sentence(n as usize)), None);
    }
    assert!(seen.is_full());
    assert_eq!([0, 1, 2].map(|n| seen.insert(7, &sentence(n))), [Some(0), Some(1), None]);
}

proptest! {
    #[test]
    fn a_text_is_its_own_duplicate(text in ".*", other in ".*") {
        let shingles = Shingles::of(&text);
        let mut seen = NearDuplicates::new(1.0, 10);
        prop_assert_eq!(seen.insert(7, &text), None);
        let has_words = MinHash::of(&text).is_some();
        prop_assert_eq!(seen.insert(8, &text), has_words.then_some(7));
        prop_assert_eq!(shingles.jaccard(&shingles), f64::from(u8::from(has_words)));
        let similarity = jaccard(&text, &other);
        prop_assert!((0.0..=1.0).contains(&similarity) && similarity == jaccard(&other, &text));
    }
}
