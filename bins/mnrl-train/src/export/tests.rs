//! A directory that is not the network that was trained must be noticed.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_model::{ModelDir, Role, save};
use embtune_torch::tch::{Device, no_grad};
use tempfile::TempDir;

use super::reload::ReloadedModel;
use super::verify::{compare, compare_texts};
use crate::dev_set::{TextFile, Texts};
use crate::distributed::ProcessGroup;
use crate::loss::LossArgs;
use crate::network::Precision;
use crate::training::learner::{Learner, LearnerArgs};
use crate::weights::lora::Lora;
use crate::weights::param_groups::ParamArgs;

const TEXTS: &str = "{\"_id\": \"a\", \"text\": \"hail on the roof\"}\n{\"_id\": \"b\", \"text\": \"sand\"}\n";
const ROW: [u32; 5] = [2, 17, 9, 40, 3];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name)
}

fn learner<'a>(model: &'a ModelDir, precision: Precision, lora: Option<Lora>, group: &'a ProcessGroup) -> Learner<'a> {
    let args = LearnerArgs {
        parameters: ParamArgs { lora, ..ParamArgs::default() },
        precision,
        dropout: None,
        max_grad_norm: 1.0,
        ema: None,
        batch_tokens: None,
        memory: None,
    };
    let objective = LossArgs::parse("").unwrap().objective(model.dimension()).unwrap();
    Learner::new(model, args, 42, objective, Device::Cpu, group).unwrap()
}

/// A directory that is saved from a network and then modified.
struct Case<'a> {
    name: &'a str,
    precision: Precision,
    lora: Option<&'a str>,
    /// Whether ONNX Runtime is missing.
    without_ort: bool,
}

impl Case<'_> {
    fn check(&self, spoil: impl FnOnce(&Path)) -> Result<(), String> {
        let model = ModelDir::open(&fixture(self.name)).unwrap().with_prompts("find: ", "");
        let (lora, group) = (self.lora.map(|lora| lora.parse().unwrap()), ProcessGroup::single());
        let learner = learner(&model, self.precision, lora, &group);
        // In place of a training step.
        let values = &learner.parameters.values;
        no_grad(|| values.shallow_clone().copy_(&(values + values.rand_like() * 0.05)));
        let mut weights = learner.parameters.to_weights().unwrap();
        if let Some(lora) = &learner.args.parameters.lora {
            weights = lora.merge(weights, &model.parameters()).0;
        }
        let place = TempDir::new().unwrap();
        let folder = place.path().join("saved");
        save::<anyhow::Error>(&model, &weights, &folder, false, |_| Ok(())).unwrap();
        spoil(&folder);

        let library = self.without_ort.then_some(Path::new("/nowhere/libonnxruntime.so"));
        let mut warnings = Vec::new();
        let reloaded = ReloadedModel::open(&folder, 1, library, |warning| warnings.push(warning));
        let mut reloaded = reloaded.map_err(|error| format!("{error:#}"))?;
        assert_eq!(warnings.len(), usize::from(self.without_ort), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("/nowhere/libonnxruntime.so")), "{warnings:?}");
        let mut check = || {
            compare(&learner, &mut reloaded, "the row", &ROW)?;
            for role in [Role::Query, Role::Document] {
                let file = TextFile { name: "dev".into(), reader: TEXTS.as_bytes() };
                let texts = Texts::read(file, &model, role, 100, 1, |_| true)?;
                assert_eq!(texts.sample.len(), 2);
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
fn an_unmodified_directory_is_the_network() {
    let names = ["tiny-bert", "tiny-dense", "tiny-xlmr", "tiny-mpnet", "tiny-distilbert"];
    let plain = names.map(|name| (name, Precision::Fp32, None));
    let bf16 = names.map(|name| (name, Precision::Bf16, None));
    let lora =
        [("tiny-bert", Precision::Fp32, Some("r=4")), ("tiny-distilbert", Precision::Bf16, Some("r=2,targets=v_lin"))];
    for (name, precision, lora) in plain.into_iter().chain(bf16).chain(lora) {
        for without_ort in [false, true] {
            let case = Case { name, precision, lora, without_ort };
            assert_eq!(case.check(|_| ()), Ok(()), "{name} {precision:?} {lora:?} {without_ort}");
        }
    }
}

#[test]
fn other_weights_pooling_or_prompts_are_noticed() {
    for without_ort in [false, true] {
        let check = |spoil: fn(&Path)| {
            let case = Case { name: "tiny-bert", precision: Precision::Fp32, lora: None, without_ort };
            case.check(spoil).unwrap_err()
        };
        let message = check(|folder| {
            let _ = fs::copy(fixture("tiny-bert").join("model.safetensors"), folder.join("model.safetensors")).unwrap();
        });
        assert!(
            message.contains("gives the row a different vector than the network that was trained, in Float"),
            "{message}"
        );
        let message = check(|folder| {
            let file = folder.join("1_Pooling/config.json");
            edit(&file, "\"pooling_mode_mean_tokens\": true", "\"pooling_mode_mean_tokens\": false");
            edit(&file, "\"pooling_mode_cls_token\": false", "\"pooling_mode_cls_token\": true");
        });
        assert!(message.contains("a different vector"), "{message}");
        let message = check(|folder| edit(&folder.join("config_sentence_transformers.json"), "find: ", "query: "));
        assert_eq!(message, "opened again, it turns \"a\" of dev into different tokens than in the training");
        let message = check(|folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap());
        assert!(message.contains("tokenizer.json"), "{message}");
    }
}

/// The weights have changed since they were cast to bf16.
#[test]
fn outdated_casts_are_noticed() {
    let model = ModelDir::open(&fixture("tiny-bert")).unwrap();
    let group = ProcessGroup::single();
    let learner = learner(&model, Precision::Bf16, None, &group);
    let _ = learner.encode(&[ROW.to_vec()]).unwrap();
    // Written without raising the version, like a kernel that does not know about versions.
    let values = learner.parameters.values.detach();
    no_grad(|| values.data().copy_(&(&values + values.rand_like() * 0.3)));
    let place = TempDir::new().unwrap();
    let folder = place.path().join("saved");
    save::<anyhow::Error>(&model, &learner.parameters.to_weights().unwrap(), &folder, false, |_| Ok(())).unwrap();
    let mut reloaded = ReloadedModel::open(&folder, 1, None, |warning| panic!("{warning}")).unwrap();
    let message = compare(&learner, &mut reloaded, "the row", &ROW).unwrap_err().to_string();
    assert!(message.contains("a different vector than the network that was trained, in BFloat16"), "{message}");
}
