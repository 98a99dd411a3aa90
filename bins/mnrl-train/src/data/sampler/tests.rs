//! The batches of an epoch, by hand and by their properties.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn args(batch_from: BatchFrom, batch_size: usize) -> SamplerArgs {
    let batch_size = batch_size as u32;
    SamplerArgs { epochs: 1, batch_size, gradient_accumulation: 1, batch_from, no_duplicates: false, seed: 42 }
}

/// A sampler that does not look for duplicates.
fn sampler(sets: &[(Range<usize>, f64)], batch_from: BatchFrom, batch_size: usize) -> Sampler {
    Sampler::of_sets(sets, None, args(batch_from, batch_size))
}

fn find(keys: &[Vec<u64>], repeats: bool) -> Collisions {
    Collisions::find(keys.len(), repeats, |pair, out| out.extend(&keys[pair]))
}

fn sorted(mut pairs: Vec<usize>) -> Vec<usize> {
    pairs.sort_unstable();
    pairs
}

/// How often each of the pairs was seen in the first epochs.
fn seen(sampler: &Sampler, pairs: usize, epochs: u32) -> Vec<usize> {
    let mut counts = vec![0; pairs];
    (0..epochs).flat_map(|epoch| sampler.epoch(epoch).concat()).for_each(|pair| counts[pair] += 1);
    counts
}

#[test]
fn an_epoch_has_every_pair_once() {
    let one = sampler(&[(0..10, 1.0)], BatchFrom::OneSet, 4);
    let first = one.epoch(0);
    assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(sorted(first.concat()), (0..10).collect::<Vec<_>>());
    assert_eq!(first, one.epoch(0));
    assert_ne!(first, one.epoch(1), "another epoch");
    let seeded = Sampler::of_sets(&[(0..10, 1.0)], None, SamplerArgs { seed: 43, ..args(BatchFrom::OneSet, 4) });
    assert_ne!(first, seeded.epoch(0), "another seed");
}

#[test]
fn two_epochs_see_the_two_halves() {
    let half = sampler(&[(0..10, 0.5)], BatchFrom::OneSet, 4);
    let epochs: Vec<Vec<usize>> = (0..4).map(|epoch| half.epoch(epoch).concat()).collect();
    assert!(epochs.iter().all(|pairs| pairs.len() == 5));
    for two in epochs.chunks(2) {
        assert_eq!(sorted(two.concat()), (0..10).collect::<Vec<_>>());
    }
    assert_ne!(sorted(epochs[0].clone()), sorted(epochs[2].clone()), "other halves");
}

#[test]
fn a_weight_of_two_is_two_orders() {
    let order = sampler(&[(0..10, 2.0)], BatchFrom::OneSet, 20).epoch(0).concat();
    let (first, second) = order.split_at(10);
    assert_eq!(sorted(first.to_vec()), sorted(second.to_vec()));
    assert_ne!(first, second);
}

#[test]
fn a_batch_is_of_one_set_and_the_sets_take_turns() {
    let sets = [(0..100, 1.0), (100..130, 1.0), (130..230, 0.5)];
    let batches = sampler(&sets, BatchFrom::OneSet, 4).epoch(3);
    let set_of = |pair: &usize| sets.iter().position(|(pairs, _)| pairs.contains(pair)).unwrap();
    let mut turns = Vec::new();
    for batch in &batches {
        let of: HashSet<usize> = batch.iter().map(set_of).collect();
        assert_eq!(of.len(), 1, "{batch:?}");
        turns.extend(of);
    }
    let batches_of = |set| turns.iter().filter(|turn| **turn == set).count();
    assert_eq!([batches_of(0), batches_of(1), batches_of(2)], [25, 8, 13]);
    let changes = turns.windows(2).filter(|turns| turns[0] != turns[1]).count();
    assert!(changes > 15, "at random, 27 of 45 are expected: {turns:?}");
}

#[test]
fn a_mixed_batch_is_of_all_sets() {
    let mixed = sampler(&[(0..500, 1.0), (500..1000, 1.0)], BatchFrom::Mixed, 100).epoch(0);
    assert_eq!(mixed.len(), 10);
    for batch in mixed {
        let of_first = batch.iter().filter(|pair| **pair < 500).count();
        assert!((25..75).contains(&of_first), "50 are expected, give or take 5: {of_first}");
    }
    let alone = |batch_from| sampler(&[(0..50, 1.5)], batch_from, 8).epoch(1);
    assert_eq!(alone(BatchFrom::Mixed), alone(BatchFrom::OneSet), "one set is one set");
}

#[test]
fn batches_without_duplicates_are_those_of_sentence_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/batches/batches.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases[0].is_object());
    for case in cases.as_array().unwrap() {
        let lists = |name: &str| serde_json::from_value::<Vec<Vec<u64>>>(case[name].clone()).unwrap();
        let order: Vec<usize> = serde_json::from_value(case["order"].clone()).unwrap();
        let expected: Vec<Vec<usize>> = serde_json::from_value(case["batches"].clone()).unwrap();
        let batch_size = case["batch_size"].as_u64().unwrap() as usize;
        assert_eq!(first_fit(&order, batch_size, &find(&lists("rows"), false)), expected, "{}", case["name"]);
    }
}

/// A query with 20,000 positives among 200,000 pairs: scanning all skipped pairs for every batch would take minutes.
#[test]
fn a_text_of_very_many_pairs_is_in_as_many_batches() {
    let (pairs, hub) = (200_000, 20_000);
    let keys: Vec<Vec<u64>> = (0..pairs).map(|pair| vec![pair.max(hub), pairs + pair % 70_000]).collect();
    let all: Vec<usize> = (0..pairs as usize).collect();
    let batches = first_fit(&all, 8, &find(&keys, false));
    assert_eq!(batches.len() as u64, pairs / 8, "25,000 batches have room for 20,000 of the query");
    check_batches(&batches, &all, 8, &keys);
}

/// Checks the guarantees of batches without duplicates.
fn check_batches(batches: &[Vec<usize>], order: &[usize], batch_size: usize, keys: &[Vec<u64>]) {
    assert_eq!(sorted(batches.concat()), sorted(order.to_vec()), "nothing is lost");
    for batch in batches {
        assert!((1..=batch_size).contains(&batch.len()), "{batch:?}");
        let mut seen = HashSet::new();
        for pair in batch {
            let own: HashSet<u64> = keys[*pair].iter().copied().collect();
            assert!(own.into_iter().all(|key| seen.insert(key)), "{batch:?}");
        }
    }
}

/// Fills one batch after the other from the remaining pairs, as the reference does.
fn one_after_the_other(order: &[usize], batch_size: usize, keys: &[Vec<u64>]) -> Vec<Vec<usize>> {
    let mut left = order.to_vec();
    let mut batches = Vec::new();
    while !left.is_empty() {
        let (mut batch, mut seen) = (Vec::new(), HashSet::<u64>::new());
        left.retain(|pair| {
            let fits = batch.len() < batch_size && keys[*pair].iter().all(|key| !seen.contains(key));
            if fits {
                batch.push(*pair);
                seen.extend(&keys[*pair]);
            }
            !fits
        });
        batches.push(batch);
    }
    batches
}

/// Keys of some pairs, which collide often, rarely or not at all.
fn keys() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let pair = |different| prop::collection::vec(0..different, 1..5);
    prop_oneof![Just(3_u64), Just(20), Just(1000)]
        .prop_flat_map(move |different| prop::collection::vec(pair(different), 1..80))
}

proptest! {
    #[test]
    fn no_pair_is_seen_more_than_once_more_than_another(
        sizes in prop::collection::vec((1_usize..40, 0.01_f64..3.0), 1..4),
        batch_size in 1_usize..9, epochs in 1_u32..8, mixed: bool,
    ) {
        let mut sets = Vec::new();
        for (size, weight) in sizes {
            let start = sets.last().map_or(0, |(pairs, _): &(Range<usize>, f64)| pairs.end);
            sets.push((start..start + size, weight));
        }
        let from = if mixed { BatchFrom::Mixed } else { BatchFrom::OneSet };
        let sampler = sampler(&sets, from, batch_size);
        let counts = seen(&sampler, sets[sets.len() - 1].0.end, epochs);
        for (pairs, weight) in sets {
            let counts = &counts[pairs];
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            let expected = (f64::from(epochs) * weight * counts.len() as f64).round();
            prop_assert_eq!(counts.iter().sum::<usize>() as f64, expected);
        }
        let steps: usize = (0..epochs).map(|epoch| sampler.epoch(epoch).len()).sum();
        prop_assert_eq!(sampler.total_steps(epochs, 1), steps as u64);
    }

    #[test]
    fn first_fit_fills_one_batch_after_the_other(keys in keys(), batch_size in 1_usize..12) {
        let order: Vec<usize> = (0..keys.len()).rev().collect();
        let batches = first_fit(&order, batch_size, &find(&keys, false));
        check_batches(&batches, &order, batch_size, &keys);
        prop_assert_eq!(batches, one_after_the_other(&order, batch_size, &keys));
    }

    /// A pair that an epoch sees several times does not meet itself either.
    #[test]
    fn batches_of_any_sets_have_no_duplicates(
        keys in keys(), weight in 0.3_f64..3.0, batch_size in 1_usize..12, epoch in 0_u32..4, mixed: bool,
    ) {
        let middle = keys.len() / 2;
        let sets = [(0..middle, 1.0), (middle..keys.len(), weight)];
        let from = if mixed { BatchFrom::Mixed } else { BatchFrom::OneSet };
        let sampler = Sampler::of_sets(&sets, Some(find(&keys, true)), args(from, batch_size));
        let batches = sampler.epoch(epoch);
        let expected: Vec<usize> = sampler.sets.iter().flat_map(|set| set.epoch(epoch)).collect();
        check_batches(&batches, &expected, batch_size, &keys);
        prop_assert_eq!(sampler.steps(epoch), batches.len() as u64);
        prop_assert_eq!(batches, sampler.epoch(epoch));
    }
}

/// The trajectories under `tests/fixtures/parity` were computed with these batches; and a seed must keep its meaning.
#[test]
fn a_seed_always_gives_the_same_batches() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/trajectories/batches.json");
    let expected: Vec<Vec<Vec<usize>>> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let sampler = sampler(&[(0..39, 1.0)], BatchFrom::OneSet, 8);
    let found: Vec<_> = (0..expected.len() as u32).map(|epoch| sampler.epoch(epoch)).collect();
    assert!(found.len() >= 7 && found == expected, "{}", serde_json::to_string(&found).unwrap());
}
