//! What a directory that is not the network that was trained is found out by.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use embtune_model::{ModelDir, Role, save};
use embtune_torch::tch::{Device, no_grad};
use tempfile::TempDir;

use super::check::{compare, compare_texts};
use super::reload::Reloaded;
use crate::cli::Cli;
use crate::distributed::Team;

use crate::training::dev::{Source, Texts};
use crate::training::learner::Learner;

const TEXTS: &str = "{\"_id\": \"a\", \"text\": \"hail on the roof\"}\n{\"_id\": \"b\", \"text\": \"sand\"}\n";
const ROW: [u32; 5] = [2, 17, 9, 40, 3];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name)
}

/// What is said of a directory that was saved from a network and then changed.
struct Case<'a> {
    name: &'a str,
    flags: &'a str,
    /// Whether ONNX Runtime cannot be found.
    alone: bool,
}

impl Case<'_> {
    fn check(&self, spoil: impl FnOnce(&Path)) -> Result<(), String> {
        let model = ModelDir::open(&fixture(self.name)).unwrap().with_prompts("find: ", "");
        let words = ["mnrl-train", "--model", "BASE", "--out", "OUT"].into_iter().chain(self.flags.split_whitespace());
        let (cli, team) = (Cli::parse_from(words), Team::alone());
        let learner = Learner::new(&model, model.trainable_config().unwrap(), &cli, Device::Cpu, &team).unwrap();
        // A step of training, without its gradient.
        let values = &learner.parameters.values;
        no_grad(|| values.shallow_clone().copy_(&(values + values.rand_like() * 0.05)));
        let mut weights = learner.weights().unwrap();
        if let Some(lora) = &cli.optimizer.lora {
            weights = lora.merge(weights, &model.parameters()).0;
        }
        let place = TempDir::new().unwrap();
        let folder = place.path().join("saved");
        save::<anyhow::Error>(&model, &weights, &folder, false, |_| Ok(())).unwrap();
        spoil(&folder);

        let library = self.alone.then_some(Path::new("/nowhere/libonnxruntime.so"));
        let mut warnings = Vec::new();
        let reloaded = Reloaded::open(&folder, 1, library, |warning| warnings.push(warning));
        let mut reloaded = reloaded.map_err(|error| format!("{error:#}"))?;
        assert_eq!(warnings.len(), usize::from(self.alone), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("/nowhere/libonnxruntime.so")), "{warnings:?}");
        let mut check = || {
            compare(&learner, &mut reloaded, "the row", &ROW)?;
            for role in [Role::Query, Role::Document] {
                let source = Source { name: "dev".into(), reader: TEXTS.as_bytes() };
                let texts = Texts::read(source, &model, role, 100, 1, |_| true)?;
                assert_eq!(texts.sample().len(), 2);
                compare_texts(&learner, &mut reloaded, &texts)?;
            }
            anyhow::Ok(())
        };
        check().map_err(|error| format!("{error:#}"))
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn what_is_written_is_the_network() {
    let plain = ["tiny-bert", "tiny-dense", "tiny-xlmr", "tiny-mpnet", "tiny-distilbert"].map(|name| (name, ""));
    let bf16 = plain.map(|(name, _)| (name, "--precision bf16"));
    let lora = [("tiny-bert", "--lora r=4"), ("tiny-distilbert", "--lora r=2,targets=v_lin --precision bf16")];
    for (name, flags) in plain.into_iter().chain(bf16).chain(lora) {
        for alone in [false, true] {
            assert_eq!(Case { name, flags, alone }.check(|_| ()), Ok(()), "{name} {flags} {alone}");
        }
    }
}

#[test]
fn other_weights_pooling_or_prompts_are_found() {
    for alone in [false, true] {
        let check = |spoil: fn(&Path)| Case { name: "tiny-bert", flags: "", alone }.check(spoil).unwrap_err();
        let message = check(|folder| {
            let _ = fs::copy(fixture("tiny-bert").join("model.safetensors"), folder.join("model.safetensors")).unwrap();
        });
        assert!(
            message.contains("gives the row another vector than the network that was trained, in Float"),
            "{message}"
        );
        let message = check(|folder| {
            let file = folder.join("1_Pooling/config.json");
            edit(&file, "\"pooling_mode_mean_tokens\": true", "\"pooling_mode_mean_tokens\": false");
            edit(&file, "\"pooling_mode_cls_token\": false", "\"pooling_mode_cls_token\": true");
        });
        assert!(message.contains("another vector"), "{message}");
        let message = check(|folder| edit(&folder.join("config_sentence_transformers.json"), "find: ", "query: "));
        assert_eq!(message, "opened again, it turns \"a\" of dev into other tokens than it was measured with");
        let message = check(|folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap());
        assert!(message.contains("tokenizer.json"), "{message}");
    }
}

/// What was once cast for bf16 is not what the weights are now.
#[test]
fn copies_older_than_the_weights_are_found() {
    let model = ModelDir::open(&fixture("tiny-bert")).unwrap();
    let cli = Cli::parse_from(["mnrl-train", "--model", "BASE", "--out", "OUT", "--precision", "bf16"]);
    let team = Team::alone();
    let learner = Learner::new(&model, model.trainable_config().unwrap(), &cli, Device::Cpu, &team).unwrap();
    let _ = learner.encode(&[ROW.to_vec()]).unwrap();
    // Written past libtorch's count of changes, as a kernel that does not know of it would.
    let values = learner.parameters.values.detach();
    no_grad(|| values.data().copy_(&(&values + values.rand_like() * 0.3)));
    let place = TempDir::new().unwrap();
    let folder = place.path().join("saved");
    save::<anyhow::Error>(&model, &learner.weights().unwrap(), &folder, false, |_| Ok(())).unwrap();
    let mut reloaded = Reloaded::open(&folder, 1, None, |warning| panic!("{warning}")).unwrap();
    let message = compare(&learner, &mut reloaded, "the row", &ROW).unwrap_err().to_string();
    assert!(message.contains("another vector than the network that was trained, in BFloat16"), "{message}");
}
