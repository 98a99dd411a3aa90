//! Comparison with sentence-transformers for directories with unusual settings.
//!
//! The cases, with the expected vectors or error messages, and the script that made them are in
//! `tests/fixtures/parity/settings`.

use std::fs;

use embtune_encode::{Encoder, EncoderOptions};
use embtune_model::{AnyModelDir, Role};
use embtune_tests::{Folder, fixture};
use serde_json::{Map, Value};

use crate::support::options;

/// The cases of the fixture, and the texts of the cases that name none.
fn cases() -> (Vec<Value>, Vec<Value>) {
    let file = fixture("parity/settings/settings.json");
    let figures: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let list = |key: &str| figures[key].as_array().unwrap().clone();
    (list("cases"), list("texts"))
}

fn entries(case: &Value, key: &str) -> Map<String, Value> {
    case.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A copy of a case's model with the case's changes; see `make.py`.
fn changed(case: &Value) -> Folder {
    let folder = Folder::new();
    folder.copy_fixture(&format!("parity/{}", case["model"].as_str().unwrap()), "MODEL");
    let place = |file: &str| folder.path("MODEL").join(file);
    let edit = |file: &str, edit: &dyn Fn(&mut Value)| {
        let mut content = match fs::read(place(file)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
            Err(_) => Value::Object(Map::new()),
        };
        edit(&mut content);
        fs::write(place(file), content.to_string()).unwrap();
    };
    for (file, values) in entries(case, "set") {
        edit(&file, &|content| values.as_object().unwrap().iter().for_each(|(key, value)| put(content, key, value)));
    }
    for (file, keys) in entries(case, "unset") {
        let keys = keys.as_array().unwrap();
        edit(&file, &|content| {
            keys.iter().for_each(|key| drop(content.as_object_mut().unwrap().remove(key.as_str().unwrap())))
        });
    }
    let make_room = |file: &str| fs::create_dir_all(place(file).parent().unwrap()).unwrap();
    for (file, content) in entries(case, "write") {
        make_room(&file);
        fs::write(place(&file), content.to_string()).unwrap();
    }
    for (old, new) in entries(case, "rename") {
        let new = new.as_str().unwrap();
        make_room(new);
        fs::rename(place(&old), place(new)).unwrap();
    }
    for file in case.get("remove").and_then(Value::as_array).into_iter().flatten() {
        fs::remove_file(place(file.as_str().unwrap())).unwrap();
    }
    folder
}

fn put(mut target: &mut Value, path: &str, value: &Value) {
    let mut key = path;
    if path.starts_with("model.") || path.starts_with("added_tokens_decoder.") {
        let (folder, rest) = path.split_once('.').unwrap();
        target = &mut target[folder];
        key = rest;
    }
    match key.strip_suffix('+') {
        Some(key) => target[key].as_array_mut().unwrap().extend(value.as_array().unwrap().iter().cloned()),
        None => drop(target.as_object_mut().unwrap().insert(key.to_owned(), value.clone())),
    }
}

/// The vectors of texts, and their number of elements.
fn encode(case: &Value, texts: &[String]) -> Result<(Vec<f32>, usize), String> {
    let folder = changed(case);
    let model = AnyModelDir::open_any(&folder.path("MODEL")).map_err(|error| error.to_string())?;
    let role = match case.get("role").and_then(Value::as_str) {
        None => None,
        Some("query") => Some(Role::Query),
        Some(_) => Some(Role::Document),
    };
    let options = EncoderOptions { prompt: model.prompt(role), ..options(&model) };
    let mut encoder = Encoder::load(&model, &options).map_err(|error| error.to_string())?;
    let encoded = encoder.encode(texts).map_err(|error| error.to_string())?;
    Ok((encoded.vectors, encoder.dim()))
}

/// The distance of a vector from the expected one, relative to the latter's length.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    let difference: f64 = found.iter().zip(expected).map(|(x, y)| (f64::from(*x) - y).powi(2)).sum();
    let length: f64 = expected.iter().map(|y| y * y).sum();
    difference.sqrt() / length.sqrt().max(1e-9)
}

fn check(case: &Value, texts: &[String]) -> Result<(), String> {
    let result = encode(case, texts);
    if let Some(words) = case.get("refused").and_then(Value::as_str) {
        return match result {
            Err(error) if error.contains(words) => Ok(()),
            Err(error) => Err(format!("refused for another reason: {error}")),
            Ok(_) => Err("is not refused".into()),
        };
    }
    let (vectors, dim) = result?;
    let expected: Vec<Vec<f64>> = serde_json::from_value(case["vectors"].clone()).unwrap();
    if vectors.len() != expected.len() * dim || expected.iter().any(|vector| vector.len() != dim) {
        return Err(format!("vectors of {dim} elements"));
    }
    for (index, (found, expected)) in vectors.chunks_exact(dim).zip(&expected).enumerate() {
        let distance = distance(found, expected);
        // A cosine of 0.99999 is a distance of 0.0045.
        if distance > 1e-4 {
            return Err(format!("text {index} is {distance:.4} away"));
        }
    }
    Ok(())
}

#[test]
fn settings_are_honoured_as_the_reference_does_or_refused_by_name() {
    let (cases, texts) = cases();
    assert!(cases.len() > 100);
    let strings = |texts: &[Value]| texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let texts = strings(case.get("texts").and_then(Value::as_array).unwrap_or(&texts));
            let what = check(case, &texts).err()?;
            Some(format!("{} ({}): {what}", case["name"], case["model"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
