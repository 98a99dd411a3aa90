//! embtune-shards(5) describes shards as they are written.

use std::collections::BTreeMap;
use std::fs;

use embtune_tensors::TensorFile;
use embtune_tests::workspace;

use crate::folder;

const PAIRS: &str = "{\"anchor\":\"a\",\"positive\":\"p\",\"anchor_id\":\"q\",\"positive_id\":\"d\",\"negatives\":[\"n\"],\
                     \"negative_ids\":[\"e\"],\"scores\":[1,0]}\n";

/// The cells of the page's tables whose heading begins with this.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let tables = page.split(".TS\n").skip(1).map(|table| table.split("\n.TE").next().unwrap());
    let found: Vec<&str> = tables.filter(|table| table.lines().nth(1).unwrap().starts_with(heading)).collect();
    assert_eq!(found.len(), 1, "{heading}");
    found[0].lines().skip(2).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn the_page_has_every_tensor_and_every_field() {
    let folder = folder();
    folder.write_vectors("gq", "query", &[("q", &[1.0, 0.0])]);
    folder.write_vectors("gc", "document", &[("d", &[1.0, 0.0]), ("e", &[1.0, 0.0])]);
    folder
        .run("pairs2shards --model BASE -q --guide-queries gq --guide-corpus gc -o s.safetensors")
        .stdin(PAIRS)
        .done();
    let file = TensorFile::open(&folder.path("s.safetensors")).unwrap();
    let page = fs::read_to_string(workspace().join("man/embtune-shards.5")).unwrap();

    let mut described = BTreeMap::new();
    for row in table(&page, "\\fBtensor\\fR") {
        let columns =
            if row[0].starts_with("\\fIcolumn\\fR") { &["anchor", "positive", "negative"][..] } else { &[""] };
        for column in columns {
            let name = row[0].replace("\\fIcolumn\\fR", column);
            described.insert(name, (row[1].clone(), row[2].split(',').count()));
        }
    }
    let found: BTreeMap<String, (String, usize)> = file
        .names()
        .into_iter()
        .map(|name| {
            let tensor = file.get(&name).unwrap();
            let kind = (format!("{:?}", tensor.dtype), tensor.shape.len());
            (name, kind)
        })
        .collect();
    assert_eq!(found, described);

    let fields = table(&page, "\\fBmetadata\\fR");
    let meta: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(file.metadata("embtune").unwrap()).unwrap();
    let kinds: Vec<(&str, &str)> = meta
        .iter()
        .map(|(name, value)| {
            (
                name.as_str(),
                if value.is_number() {
                    "number"
                } else if value.is_object() {
                    "object"
                } else {
                    "string"
                },
            )
        })
        .collect();
    assert_eq!(kinds, fields.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect::<Vec<_>>());
    assert_eq!(meta["version"].to_string(), fields[0][2]);
}
