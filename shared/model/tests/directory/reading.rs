//! Reading directories that are complete, damaged, or of an unsupported kind.

use std::fs;

use embtune_model::{DenseActivation, ModelDir, Pooling, Role};

use crate::support::{copy, edit, fixture};

#[test]
fn a_directory_is_read() {
    let bert = ModelDir::open(&fixture("tiny-bert")).unwrap();
    assert_eq!((bert.pooling(), bert.normalizes(), bert.max_seq_length()), (Pooling::Mean, false, 128));
    assert_eq!(
        (bert.prompt(Some(Role::Query)), bert.prompt(Some(Role::Document)), bert.prompt(None)),
        ("query: ", "passage: ", "")
    );
    assert_eq!((bert.config().name, bert.config().position_padding), ("BERT", None));

    let xlmr = ModelDir::open(&fixture("tiny-xlmr")).unwrap();
    assert_eq!((xlmr.pooling(), xlmr.normalizes(), xlmr.max_seq_length()), (Pooling::Cls, true, 512));
    let config = xlmr.config();
    assert_eq!((config.name, config.position_padding, config.max_length), ("RoBERTa", Some(1), 512));
    assert!(!xlmr.has_prompts());
}

#[test]
fn each_family_is_read_by_its_own_names() {
    let roberta = ModelDir::open(&fixture("tiny-roberta")).unwrap();
    assert_eq!((roberta.config().name, roberta.pooling()), ("RoBERTa", Pooling::Max));
    assert_eq!(roberta.weight_files(), [roberta.root().join("pytorch_model.bin")]);

    let mpnet = ModelDir::open(&fixture("tiny-mpnet")).unwrap();
    let config = mpnet.config();
    assert_eq!((config.name, mpnet.pooling()), ("MPNet", Pooling::WeightedMean));
    assert_eq!((config.position_padding, config.max_length, config.has_token_types), (Some(1), 128, false));
    let bias = "encoder.relative_attention_bias.weight";
    assert_eq!(mpnet.weights().unwrap().require(bias).unwrap().shape, [32, 4]);

    let distilbert = ModelDir::open(&fixture("tiny-distilbert")).unwrap();
    let config = distilbert.config();
    assert_eq!((config.name, distilbert.pooling()), ("DistilBERT", Pooling::MeanSqrtLen));
    assert_eq!((config.hidden_size, config.num_hidden_layers, config.position_padding), (32, 2, None));
    assert_eq!(distilbert.weights().unwrap().require("transformer.layer.1.ffn.lin2.weight").unwrap().shape, [32, 64]);
}

#[test]
fn dense_modules_determine_the_dimension() {
    let model = ModelDir::open(&fixture("tiny-dense")).unwrap();
    let [first, second] = model.dense() else { panic!("two Dense modules") };
    assert_eq!((first.activation, second.activation), (DenseActivation::Tanh, DenseActivation::Identity));
    assert_eq!((first.in_features, first.out_features, model.dimension()), (32, 48, 24));
    let names: Vec<_> = model.parameters().iter().rev().take(3).map(|parameter| parameter.name.clone()).collect();
    assert_eq!(names, ["3_Dense.linear.weight", "2_Dense.linear.bias", "2_Dense.linear.weight"]);
    // The tensors of one module are in safetensors, those of the other in a PyTorch checkpoint.
    let weights = model.weights().unwrap();
    assert_eq!(weights.require("2_Dense.linear.weight").unwrap().shape, [48, 32]);
    assert_eq!(weights.require("3_Dense.linear.weight").unwrap().shape, [24, 48]);
}

#[test]
fn settings_of_dense_modules_are_checked() {
    for (file, from, to, expected) in [
        (
            "2_Dense/config.json",
            "activation.Tanh",
            "activation.Mish",
            "activation.Mish\" is not supported (supported: PyTorch's",
        ),
        ("2_Dense/config.json", "torch.nn.modules", "other", "other.activation.Tanh\" is not supported"),
        ("2_Dense/config.json", "\"bias\"", "\"use_residual\": true, \"bias\"", "use_residual is not supported"),
        ("2_Dense/config.json", "\"bias\"", "\"scale\": 2, \"bias\"", "2_Dense/config.json: scale 2 is unknown"),
        (
            "2_Dense/config.json",
            "\"bias\"",
            "\"module_input_name\": \"token_embeddings\", \"bias\"",
            "\"token_embeddings\"",
        ),
        ("3_Dense/config.json", "48", "47", "in_features is 47, but its input has 48 elements"),
        ("modules.json", "models.Normalize", "models.Pooling", "module 4 \"Pooling\" is not supported in this place"),
        ("modules.json", "3_Dense", "/3_Dense", "leaves the directory"),
    ] {
        let directory = copy("tiny-dense");
        edit(directory.path(), file, from, to);
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let directory = copy("tiny-dense");
    edit(directory.path(), "2_Dense/config.json", "\"bias\": true", "\"bias\": false");
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.ends_with("unexpected tensor \"linear.bias\" for a Dense module"), "{error}");
    let directory = copy("tiny-dense");
    edit(directory.path(), "2_Dense/config.json", "48", "49");
    edit(directory.path(), "3_Dense/config.json", "48", "49");
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.contains("model.safetensors: tensor \"linear.weight\" must be [49, 32], found [48, 32]"), "{error}");
}

#[test]
fn each_pooling_is_read_in_both_forms() {
    for (name, legacy, pooling) in [
        ("cls", "pooling_mode_cls_token", Pooling::Cls),
        ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
        ("max", "pooling_mode_max_tokens", Pooling::Max),
        ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
        ("weightedmean", "pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
        ("lasttoken", "pooling_mode_lasttoken", Pooling::LastToken),
    ] {
        for config in [
            format!("{{\"pooling_mode\": \"{name}\"}}"),
            format!("{{\"pooling_mode\": [\"{name}\"]}}"),
            format!("{{\"pooling_mode_of_old\": false, \"{legacy}\": true, \"include_prompt\": true}}"),
        ] {
            let directory = copy("tiny-bert");
            fs::write(directory.path().join("1_Pooling/config.json"), config).unwrap();
            let model = ModelDir::open(directory.path()).unwrap();
            assert_eq!((model.pooling(), model.pooling().name()), (pooling, name));
        }
    }
}

#[test]
fn the_form_of_sentence_transformers_6_is_read() {
    let directory = copy("tiny-xlmr");
    let root = directory.path();
    fs::write(
        root.join("1_Pooling/config.json"),
        r#"{"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": true}"#,
    )
    .unwrap();
    edit(
        root,
        "modules.json",
        "sentence_transformers.models.Pooling",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    );
    fs::remove_file(root.join("sentence_bert_config.json")).unwrap();
    let model = ModelDir::open(root).unwrap();
    assert_eq!((model.pooling(), model.max_seq_length()), (Pooling::Cls, 512));
}

#[test]
fn unsupported_settings_are_named() {
    for (file, from, to, expected) in [
        ("config.json", "\"bert\"", "\"deberta\"", "model_type \"deberta\" is not supported"),
        ("config.json", "\"gelu\"", "\"mish\"", "hidden_act \"mish\" is not supported"),
        ("config.json", "\"absolute\"", "\"relative_key\"", "position_embedding_type \"relative_key\""),
        ("config.json", "\"hidden_size\": 32", "\"hidden_size\": 31", "does not divide into 4 attention heads"),
        ("config.json", "\"vocab_size\": 400", "\"vocab_size\": \"x\"", "config.json: invalid type"),
        ("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 9999999999", "9999999999 layers are not"),
        ("modules.json", "models.Pooling", "models.Dense", "module 1 \"Dense\" is not supported"),
        ("modules.json", "models.Pooling", "models.WordWeights", "module 1 \"WordWeights\" is not supported"),
        ("modules.json", "\"1_Pooling\"", "\"../1_Pooling\"", "leaves the directory"),
        (
            "1_Pooling/config.json",
            "\"pooling_mode_max_tokens\": false",
            "\"include_prompt\": 1",
            "include_prompt must be true or false, found 1",
        ),
        (
            "1_Pooling/config.json",
            "\"pooling_mode_max_tokens\": false",
            "\"pooling_mode_max_tokens\": true",
            "pooling_mode_max_tokens\" is not supported (supported: one of cls, mean, max,",
        ),
    ] {
        let directory = copy("tiny-bert");
        edit(directory.path(), file, from, to);
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let directory = copy("tiny-bert");
        fs::remove_file(directory.path().join(file)).unwrap();
        let error = ModelDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("No such file"), "{error}");
    }
}

#[test]
fn weights_of_another_shape_are_refused() {
    let directory = copy("tiny-bert");
    edit(directory.path(), "config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 65");
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.contains("encoder.layer.0.intermediate.dense.weight\" must be [65, 32], found [64, 32]"), "{error}");
    let file = directory.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(ModelDir::open(directory.path()).unwrap().weights().is_err());
}

#[test]
fn safetensors_is_preferred_to_a_checkpoint() {
    let directory = copy("tiny-bert");
    fs::write(directory.path().join("pytorch_model.bin"), "not read").unwrap();
    let model = ModelDir::open(directory.path()).unwrap();
    assert!(model.weights().is_ok());
    fs::remove_file(directory.path().join("model.safetensors")).unwrap();
    let error = ModelDir::open(directory.path()).unwrap().weights().err().unwrap().to_string();
    assert!(error.contains("pytorch_model.bin: not a PyTorch checkpoint"), "{error}");
}
