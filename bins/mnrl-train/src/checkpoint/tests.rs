//! Guarantees of a folder with checkpoints.

use std::fs::{self, File};
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;

use embtune_tensors::{ChecksumWriter, Dtype};
use embtune_torch::tch::{Device, Kind, Tensor};
use serde_json::json;
use tempfile::TempDir;

use super::early_stopping::Evaluations;
use super::trainer_state::LossMeter;
use super::{Checkpoint, Checkpoints, Evaluation, TrainerState, bytes, first_difference};

const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

fn state(step: u64) -> TrainerState {
    // A sum of which no digit may get lost.
    let mut loss = LossMeter::default();
    [1.0 / 3.0, 5e-324, 1.1e300].into_iter().for_each(|batch| loss.add(batch, 3, true));
    let settings = json!({"--learning-rate": 2e-5, "data": "xxh3:1", "--seed": 42});
    let evaluations = vec![Evaluation { step: 5, score: 0.7 }, Evaluation { step: 10, score: 2.0 / 3.0 }];
    TrainerState {
        step,
        epoch: 1,
        batch: 3,
        tokens: 12_345,
        seconds: 0.1 + 0.2,
        loss,
        evaluations: Evaluations(evaluations),
        settings: settings.as_object().unwrap().clone(),
    }
}

fn try_open(place: &TempDir, keep: usize) -> anyhow::Result<Checkpoints> {
    Checkpoints::open(place.path().join("c"), NonZero::new(keep).unwrap())
}

fn open(place: &TempDir, keep: usize) -> Checkpoints {
    try_open(place, keep).unwrap()
}

fn files(place: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(place.path().join("c")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Saves weights that all have the value `step`, so that they show where they come from.
fn save(checkpoints: &mut Checkpoints, state: &TrainerState) {
    let values = Tensor::full([10], state.step as f64, F32);
    checkpoints.save(state, &[("values", &values)]).unwrap();
}

fn latest(checkpoints: &Checkpoints) -> (Option<Checkpoint>, Vec<String>) {
    let mut warnings = Vec::new();
    (checkpoints.latest(|warning| warnings.push(warning)).unwrap(), warnings)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn everything_reads_back_bit_for_bit() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 2);
    assert!(checkpoints.check_unused().is_ok() && latest(&checkpoints).0.is_none());
    assert!(!place.path().join("c").exists(), "a folder that is not needed is not created");

    // Longer than one chunk, and not a multiple of it.
    let values = Tensor::randn([3, 1_500_001], F32);
    let generator = Tensor::from_slice(&[7_u8, 0, 255]);
    let steps = Tensor::from_slice(&[i64::MIN, 3]);
    let (empty, special) =
        (Tensor::zeros([0], F32), Tensor::from_slice(&[-0.0_f32, f32::NAN, f32::MIN_POSITIVE / 8.0]));
    let tensors =
        [("values", &values), ("generator", &generator), ("steps", &steps), ("empty", &empty), ("special", &special)];
    checkpoints.save(&state(120), &tensors).unwrap();
    let size = fs::metadata(place.path().join("c/step-00000120.safetensors")).unwrap().len();
    assert!((bytes(&tensors)..bytes(&tensors) + 4096).contains(&size), "{size} bytes");

    let checkpoint = latest(&checkpoints).0.unwrap();
    assert_eq!(checkpoint.state, state(120));
    for (name, tensor) in tensors {
        let bits = |tensor: &Tensor| Vec::<u8>::try_from(tensor.view_dtype(Kind::Uint8).flatten(0, -1)).unwrap();
        assert!(bits(&checkpoint.tensor(name).unwrap()) == bits(tensor), "{name}");
    }
    let flat = Tensor::zeros([5_000_000], F32);
    checkpoint.restore("values", &flat.narrow(0, 10, 4_500_003)).unwrap();
    assert_eq!(flat.narrow(0, 10, 4_500_003).view_as(&values), values);
    assert_eq!(f64::try_from(flat.narrow(0, 4_500_013, 100).abs().sum(Kind::Float)).unwrap(), 0.0);
    assert!(checkpoint.tensor("ema").is_err());
}

#[test]
fn the_newest_are_kept_and_other_files_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 2);
    for step in [1, 20, 100_000_000, 300_000_000] {
        save(&mut checkpoints, &state(step));
        assert_eq!(latest(&checkpoints).0.unwrap().state.step, step);
    }
    let message = checkpoints.check_unused().unwrap_err().to_string();
    assert!(message.contains("unfinished training, the last one after step 300000000\nhint: --resume"), "{message}");
    for foreign in ["step-1.safetensors", "step-00000001.safetensors.bak", "best-x.safetensors", "notes"] {
        fs::write(place.path().join("c").join(foreign), "").unwrap();
    }
    save(&mut checkpoints, &state(300_000_001));
    let ours = ["step-300000000.safetensors", "step-300000001.safetensors"];
    let foreign = ["best-x.safetensors", "notes", "step-00000001.safetensors.bak", "step-1.safetensors"];
    let mut expected = [&foreign[..], &ours].concat();
    expected.sort_unstable();
    assert_eq!(files(&place), expected);
    checkpoints.remove_all().unwrap();
    assert_eq!(files(&place), foreign);
}

#[test]
fn after_the_training_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    open(&place, 1).remove_all().unwrap();
    let mut checkpoints = open(&place, 1);
    checkpoints.save_best(1, &Tensor::zeros([2], F32)).unwrap();
    save(&mut checkpoints, &state(1));
    checkpoints.remove_all().unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_checkpoint_is_replaced_by_the_one_before() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 3);
    for step in [10, 20, 30] {
        save(&mut checkpoints, &state(step));
    }
    let path = |step: u64| place.path().join(format!("c/step-{step:08}.safetensors"));
    let whole = fs::read(path(30)).unwrap();
    for at in [0, 20, whole.len() / 2, whole.len() - 1] {
        flip(&path(30), at);
        let (found, warnings) = latest(&checkpoints);
        assert_eq!(found.unwrap().state.step, 20);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("step-00000030.safetensors: ") && warning.ends_with("using the checkpoint before it"));
        fs::write(path(30), &whole).unwrap();
    }
    // The training continues from step 20: its next checkpoint must be kept, not the damaged one with a later step.
    flip(&path(30), 100);
    drop(checkpoints);
    let mut checkpoints = open(&place, 1);
    save(&mut checkpoints, &state(25));
    assert_eq!(files(&place), ["step-00000025.safetensors"]);
    flip(&path(25), 100);
    let message = checkpoints.latest(|_| ()).err().unwrap().to_string();
    assert!(message.contains("c: all checkpoints are damaged\nhint: "), "{message}");
}

#[test]
fn a_failed_save_leaves_the_older_ones() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 1);
    save(&mut checkpoints, &state(10));
    // A type that cannot be saved: checkpoints hold the f32 master weights.
    let half = Tensor::zeros([3], (Kind::BFloat16, Device::Cpu));
    let error = checkpoints.save(&state(20), &[("values", &half)]).unwrap_err();
    assert!(format!("{error:#}").contains("step-00000020.safetensors: libtorch: a checkpoint cannot hold BFloat16"));
    assert_eq!(files(&place), ["step-00000010.safetensors"]);
    assert_eq!(latest(&checkpoints).0.unwrap().state.step, 10);
}

#[test]
fn partial_files_of_a_killed_process_are_removed() {
    let place = tempfile::tempdir().unwrap();
    save(&mut open(&place, 1), &state(10));
    let partial = ".step-00000020.safetensors.Ab12.tmp";
    let best = ".best-00000020.safetensors.Ab12.tmp";
    let foreign = [".notes.Ab12.tmp", ".step-20.safetensors.Ab12.tmp"];
    for name in [partial, best].iter().chain(&foreign) {
        fs::write(place.path().join("c").join(name), "half").unwrap();
    }
    let first = open(&place, 1);
    assert_eq!(files(&place), [foreign[0], foreign[1], "step-00000010.safetensors"]);
    let second = try_open(&place, 1).err().unwrap().to_string();
    assert!(second.contains("c: another training saves its checkpoints here\nhint: "), "{second}");
    drop(first);
    open(&place, 1);
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 1);
    save(&mut checkpoints, &state(10));
    let checkpoint = latest(&checkpoints).0.unwrap();
    for (name, elements, kind, expected) in [
        ("values", 11, Kind::Float, "tensor \"values\" has 10 elements of F32, expected 11 of F32"),
        ("values", 10, Kind::Int64, "tensor \"values\" has 10 elements of F32, expected 10 of I64"),
        ("moment1", 10, Kind::Float, "no tensor \"moment1\""),
    ] {
        let target = Tensor::zeros([elements], (kind, Device::Cpu));
        let message = checkpoint.restore(name, &target).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("step-00000010.safetensors: "), "{message}");
    }
    let mut other = state(10).settings;
    checkpoint.check_settings(&other).unwrap();
    other["--learning-rate"] = json!(1e-3);
    let message = checkpoint.check_settings(&other).unwrap_err().to_string();
    assert!(
        message.contains(": --learning-rate was 0.00002 when the training began, and is 0.001 now\nhint: "),
        "{message}"
    );

    // Intact files that are not checkpoints of this program.
    for (key, metadata, expected) in [
        ("embtune", "{\"version\":9}", "a checkpoint of version 9, but this program reads version 3"),
        ("embtune", "{\"version\":3,\"step\":", "not a checkpoint: metadata: EOF"),
        ("embtune", "{\"version\":3,\"step\":3}", "not a checkpoint: metadata: missing field"),
        ("other", "{}", "not a checkpoint (no metadata)"),
    ] {
        let file = File::create(place.path().join("c/step-00000011.safetensors")).unwrap();
        let mut writer = ChecksumWriter::new(&[("values", Dtype::U8, 1)], (key, metadata), file).unwrap();
        writer.write_all(&[1]).unwrap();
        writer.finish().unwrap();
        let message = checkpoints.latest(|_| ()).err().unwrap().to_string();
        assert!(message.contains("step-00000011.safetensors: ") && message.contains(expected), "{message}");
    }
}

#[test]
fn the_best_weights_stay_while_a_checkpoint_may_need_them() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 1);
    let mut training = state(10);
    training.evaluations.0.clear();
    let mut evaluate = |checkpoints: &mut Checkpoints, step: u64, score: f64| {
        checkpoints.save_best(step, &Tensor::full([4], step as f64, F32)).unwrap();
        training.evaluations.push(Evaluation { step, score });
        training.step = step;
        training.clone()
    };
    let at_10 = evaluate(&mut checkpoints, 10, 0.1);
    save(&mut checkpoints, &at_10);
    let at_20 = evaluate(&mut checkpoints, 20, 0.2);
    // If it is killed here, the training continues from step 10, whose best weights are those of step 10.
    assert_eq!(files(&place), ["best-00000010.safetensors", "best-00000020.safetensors", "step-00000010.safetensors"]);
    let values = Tensor::zeros([4], F32);
    checkpoints.restore_best(10, &values).unwrap();
    assert_eq!(values, Tensor::full([4], 10.0, F32));
    save(&mut checkpoints, &at_20);
    assert_eq!(files(&place), ["best-00000020.safetensors", "step-00000020.safetensors"]);
    let best = place.path().join("c/best-00000020.safetensors");
    flip(&best, fs::read(&best).unwrap().len() - 20);
    let message = checkpoints.restore_best(20, &values).unwrap_err().to_string();
    assert!(message.contains("best-00000020.safetensors: is damaged"), "{message}");
}

#[test]
fn a_full_disk_is_reported_before_the_training() {
    let place = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&place, 2);
    checkpoints.check_room(Some(1 << 10), Some(1 << 8)).unwrap();
    save(&mut checkpoints, &state(10));
    checkpoints.check_room(Some(1 << 10), None).unwrap();
    checkpoints.check_room(None, None).unwrap();
    let refusal = |checkpoint, best| checkpoints.check_room(checkpoint, best).unwrap_err().to_string();
    let needs = |megabytes: u64| format!("c: checkpoints and the best weights need {megabytes} MB, but the disk has ");
    let size = 1_u64 << 50;
    for (checkpoint, best, files) in [(Some(size), None, 3), (None, Some(size), 2), (Some(size), Some(size), 7)] {
        let message = refusal(checkpoint, best);
        assert!(message.contains(&needs(files * (size >> 20))), "{files}: {message}");
    }
}

#[test]
fn numbers_read_back_exactly() {
    let state = state(7);
    assert_eq!(TrainerState::from_json(&state.to_json().unwrap()), Ok(state));
}

#[test]
fn anything_else_is_refused() {
    let whole = state(7).to_json().unwrap();
    for length in 0..whole.len() {
        let message = TrainerState::from_json(&whole[..length]).unwrap_err();
        assert!(message.starts_with("not a checkpoint: metadata"), "{message}");
    }
    let message = TrainerState::from_json(&whole.replace("\"version\":3", "\"version\":2")).unwrap_err();
    assert!(message.starts_with("a checkpoint of version 2, but this program reads version 3\nhint: "), "{message}");
    let message = TrainerState::from_json(&whole.replace("\"step\":7", "\"step\":-7")).unwrap_err();
    assert!(message.starts_with("not a checkpoint: metadata: invalid value"), "{message}");
}

#[test]
fn the_first_setting_that_differs_is_named() {
    let settings = state(7).settings;
    let mut now = settings.clone();
    assert_eq!(first_difference(&settings, &now), None);
    now["--learning-rate"] = json!(3e-5);
    now["--seed"] = json!(1);
    let difference = |now| first_difference(&settings, &now).unwrap();
    assert_eq!(difference(now.clone()), ("--learning-rate".into(), "0.00002".into(), "0.00003".into()));
    let (mut less, mut more) = (settings.clone(), settings.clone());
    less.shift_remove("data");
    more.insert("--lora".into(), json!("r=16"));
    assert_eq!(difference(less), ("data".into(), "\"xxh3:1\"".into(), "not set".into()));
    assert_eq!(difference(more), ("--lora".into(), "not set".into(), "\"r=16\"".into()));
}

#[test]
fn the_loss_is_the_epoch_s_mean_over_compared_pairs() {
    let mut loss = LossMeter::default();
    assert_eq!((loss.mean(), loss.shown().as_str()), (None, "none"));
    loss.add(0.0, 1, false);
    assert_eq!(loss.mean(), None);
    for (batch, pairs, compares) in [(3.0, 16, true), (5.0, 16, true), (8.0, 8, true), (0.0, 1, false)] {
        loss.add(batch, pairs, compares);
    }
    assert_eq!(loss.mean(), Some((3.0 * 16.0 + 5.0 * 16.0 + 8.0 * 8.0) / 40.0));
    loss.begin_epoch();
    loss.add(1.0, 4, true);
    assert_eq!(loss.mean(), Some(1.0));
    assert_eq!((loss.compared, loss.idle), (4, 2), "of the whole training");
}
