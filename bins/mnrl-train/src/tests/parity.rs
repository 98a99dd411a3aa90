//! Vectors, loss and gradients, compared with those of sentence-transformers.
//!
//! The reference values and the script that created them are in `tests/fixtures/parity`.

use std::path::{Path, PathBuf};

use embtune_model::ModelDir;
use embtune_tokenize::Tokenizer;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use serde_json::Value;

use crate::loss::{FalseNegatives, LossArgs, Targets};
use crate::network::{Network, Packed, Pass, Row};
use crate::weights::param_groups::{ParamArgs, specs};
use crate::weights::parameters::Parameters;

const PASS: Pass = Pass { kind: Kind::Float, hidden_dropout: 0.0, attention_dropout: 0.0 };
/// Ends of the names of the biases of keys.
const KEY_BIASES: [&str; 3] = ["self.key.bias", "attn.k.bias", "k_lin.bias"];

const FIXTURES: [&str; 22] = [
    "minilm",
    "tiny-arctic",
    "tiny-bert",
    "tiny-camembert",
    "tiny-dense",
    "tiny-distilbert",
    "tiny-gemma3",
    "tiny-gte",
    "tiny-gte-multilingual",
    "tiny-jina3",
    "tiny-modernbert",
    "tiny-modernbert-odd",
    "tiny-mpnet",
    "tiny-nomic",
    "tiny-nomic-moe",
    "tiny-qwen3",
    "tiny-qwen3-bidirectional",
    "tiny-qwen3-sharded",
    "tiny-roberta",
    "tiny-silu",
    "tiny-t5",
    "tiny-xlmr",
];

struct Fixture {
    model: ModelDir,
    figures: Value,
    parameters: Parameters,
    network: Network,
}

impl Fixture {
    fn open(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let parity = root.join("tests/fixtures/parity");
        let directory: PathBuf =
            if name == "minilm" { root.join(".deps/models/all-MiniLM-L6-v2") } else { parity.join(name) };
        let model = ModelDir::open(&directory).unwrap();
        let figures = std::fs::read(parity.join(format!("{name}.json"))).unwrap();
        let specs = specs(&model, &ParamArgs::default(), 0).unwrap();
        let parameters = Parameters::load(specs, &model.weights().unwrap(), Device::Cpu).unwrap();
        let network = Network::new(&model, &parameters, None).unwrap();
        Self { figures: serde_json::from_slice(&figures).unwrap(), model, parameters, network }
    }

    fn encode(&self, texts: &[String], max_length: usize) -> Tensor {
        let tokenizer = Tokenizer::open(self.model.tokenizer(), max_length, None, 1).unwrap();
        let rows: Vec<_> = tokenizer.encode(texts, "").unwrap().into_iter().map(|tokens| tokens.ids).collect();
        let rows: Vec<_> = rows.iter().map(|tokens| Row { tokens, key: 0 }).collect();
        self.network.forward(&Packed::new(&rows, self.model.config(), Device::Cpu).unwrap(), PASS).unwrap()
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn vectors_agree_with_the_reference() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        for (key, length) in [("embeddings", fixture.model.max_seq_length()), ("embeddings_512", 512)] {
            let Some(expected) = fixture.figures.get(key) else { continue };
            let expected: Vec<_> =
                expected.as_array().unwrap().iter().map(|row| Tensor::from_slice(&floats(row))).collect();
            let expected = Tensor::stack(&expected, 0).to_kind(Kind::Float);
            let found = no_grad(|| fixture.encode(&strings(&fixture.figures["texts"]), length));
            let norm = |x: &Tensor| x.norm_scalaropt_dim(2, [1].as_slice(), false);
            // A text without tokens has a vector of zeros in the reference; it is never trained on.
            let has_tokens = norm(&expected).gt(0.0).nonzero().squeeze_dim(1);
            let rows = |x: &Tensor| x.index_select(0, &has_tokens);
            let (found, expected) = (rows(&found), rows(&expected));
            let worst = (norm(&(&found - &expected)) / norm(&expected)).max().double_value(&[]);
            assert!(worst < 1e-4, "{name} {key}: {worst}");
        }
    }
}

/// To a relative 1e-4, which fp32 sums in another order need; the gradient of a key's bias is 0 except for rounding.
#[test]
fn loss_and_gradients_agree_with_the_reference() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let figures = &fixture.figures["mnrl"];
        let (anchors, positives) = (strings(&figures["anchors"]), strings(&figures["positives"]));
        let negatives: Vec<_> = figures["negatives"].as_array().unwrap().iter().map(strings).collect();
        // The reference orders the documents column by column.
        let columns = (0..negatives[0].len()).flat_map(|column| negatives.iter().map(move |row| row[column].clone()));
        let documents: Vec<_> = positives.iter().cloned().chain(columns).collect();
        let texts: Vec<_> = anchors.iter().chain(&documents).cloned().collect();
        let vectors = fixture.encode(&texts, fixture.model.max_seq_length());
        let pairs = anchors.len() as i64;
        let (anchors, documents) = (vectors.narrow(0, 0, pairs), vectors.narrow(0, pairs, documents.len() as i64));
        let close = |found: f64, expected: f64, size: f64, what: &str| {
            assert!((found - expected).abs() <= 1e-4 * size, "{name} {what}: {found}, expected {expected}");
        };

        let flags = format!("--scale {}", figures["scale"]);
        let objective = LossArgs::parse(&flags).unwrap().objective(fixture.model.dimension()).unwrap();
        let owners = (0..documents.size()[0]).map(|document| (document % pairs) as usize).collect();
        let mut targets = Targets {
            pairs: pairs as usize,
            owners,
            false_negatives: FalseNegatives::default(),
            scores: None,
            guide: None,
        };
        let loss = objective.backward(&anchors, &documents, &targets).unwrap();
        let expected = figures["loss"].as_f64().unwrap();
        close(loss.double_value(&[]), expected, expected, "loss");

        // Softmax does not depend on these biases: their gradients are rounding errors.
        let is_key_bias = |parameter: &str| KEY_BIASES.iter().any(|end| parameter.ends_with(end));
        let gradients = figures["gradients"].as_object().unwrap();
        let mut compared = 0;
        for (parameter, expected) in gradients {
            let norm = expected["norm"].as_f64().unwrap();
            let grad = fixture.parameters.grad(parameter).expect("a parameter of the reference");
            if is_key_bias(parameter) {
                assert!(grad.norm().double_value(&[]) < 1e-5, "{name} {parameter}");
                continue;
            }
            close(grad.to_kind(Kind::Double).norm().double_value(&[]), norm, norm, parameter);
            for (index, value) in floats(&expected["indices"]).into_iter().zip(floats(&expected["values"])) {
                close(grad.double_value(&[index as i64]), value, norm, parameter);
            }
            compared += 1;
        }

        let leaf = |x: &Tensor| x.detach().set_requires_grad(true);
        let (anchors, positives) = (leaf(&anchors), leaf(&documents.narrow(0, 0, pairs)));
        targets.owners.truncate(targets.pairs);
        let without = objective.backward(&anchors, &positives, &targets).unwrap();
        let expected = figures["loss_without_negatives"].as_f64().unwrap();
        close(without.double_value(&[]), expected, expected, "loss without negatives");
        let key_biases = gradients.keys().filter(|name| is_key_bias(name)).count();
        let trained = fixture.parameters.leaves().len();
        assert!(compared + key_biases == gradients.len() && 2 * compared > trained, "{name}: {compared} compared");
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let fixture = Fixture::open("tiny-xlmr");
    let texts = strings(&fixture.figures["texts"]);
    let together = no_grad(|| fixture.encode(&texts, 512));
    for (index, text) in texts.iter().enumerate() {
        let alone = no_grad(|| fixture.encode(std::slice::from_ref(text), 512));
        let distance = (alone.get(0) - together.get(index as i64)).abs().max().double_value(&[]);
        assert!(distance < 1e-5, "text {index}: {distance}");
    }
}
