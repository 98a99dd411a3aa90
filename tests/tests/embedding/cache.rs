//! `--cache`: a text is embedded once.

use std::fs;

use embtune_tests::Folder;

use crate::{EMBED, assert_near, embed, start};

const RECORDS: usize = 300;

fn database(folder: &Folder) -> String {
    let mut names = folder.listing().into_iter().filter(|name| name.ends_with(".redb"));
    names.next().expect("a database")
}

#[test]
fn a_text_is_embedded_once() {
    let folder = start(RECORDS);
    let expected = embed(&folder, "").stdout();
    assert_eq!(embed(&folder, "--cache CACHE").stdout(), expected);
    let again = embed(&folder, "--cache CACHE -v").done();
    assert_eq!(again.stdout(), expected);
    let _ = again.saying("300 of 300 texts were in the cache").saying(" 0 texts, 0 tokens");

    // One record is new, one has another text, one another id: only the first two are computed.
    let records = folder.read("records.jsonl");
    let edited = records.replacen("number 7 ", "number seven ", 1).replacen("name-00000001", "name-1", 1);
    folder.write("records.jsonl", format!("{{\"_id\":\"new\",\"text\":\"new\"}}\n{edited}"));
    let ran = embed(&folder, "--cache CACHE -v").done();
    assert_near(&ran.stdout(), &embed(&folder, "").stdout());
    let _ = ran.saying("299 of 301 texts were in the cache").saying(" 2 texts, ");
}

#[test]
fn vectors_made_with_other_settings_are_not_used() {
    let folder = start(RECORDS);
    let cached = |flags: &str| embed(&folder, &format!("--cache CACHE {flags}"));
    cached("").done();
    for other in ["--prompt another:", "--max-seq-length 24"] {
        let expected = embed(&folder, other).stdout();
        let ran = cached(&format!("{other} -v")).done();
        assert_eq!(ran.stdout(), expected);
        assert!(ran.saying("300 texts, ").stderr().lines().all(|line| !line.contains("in the cache")));
    }
    // The cache does not depend on the dtype and the format of the output.
    embed(&folder, "--dtype f16 -o expected.npy").done();
    let _ = cached("--dtype f16 -o out.npy -v").done().saying("300 of 300 texts were in the cache");
    assert!(folder.bytes("out.npy") == folder.bytes("expected.npy"));
}

#[test]
fn processes_share_a_cache_and_may_be_killed() {
    let folder = start(RECORDS);
    let expected = embed(&folder, "").stdout();
    for kib in [1, 40, 200] {
        let line =
            format!("export ORT_DISABLE_TELEMETRY=1; ulimit -c 0 -f {kib}; exec {EMBED} --cache CACHE records.jsonl");
        let _ = folder.shell(&line).ran().with_code(128 + 25);
    }
    let line = format!("{EMBED} --cache CACHE records.jsonl");
    let both = folder.shell(&format!("{line} > one & {line} > two; wait $!"));
    both.done();
    for name in ["one", "two"] {
        assert_near(&folder.read(name), &expected);
    }
    let _ = embed(&folder, "--cache CACHE -v").done().saying("300 of 300 texts were in the cache");
}

#[test]
fn a_damaged_cache_is_an_error_or_does_no_harm() {
    let folder = start(RECORDS);
    let expected = embed(&folder, "--cache CACHE").stdout();
    let name = database(&folder);
    let sound = folder.bytes(&name);
    let mut refused = 0;
    let mut check = |bytes: &[u8]| {
        fs::write(folder.path(&name), bytes).unwrap();
        let ran = embed(&folder, "--cache CACHE").ran();
        if ran.code == 2 {
            let ran = ran.with_code(2).saying(&format!("{name}: ")).saying("hint: remove that file");
            assert_eq!(ran.stderr().lines().count(), 2, "{ran}");
            refused += 1;
        } else {
            assert_near(&ran.with_code(0).stdout(), &expected);
        }
    };
    for place in (0..40).map(|n| n * n * sound.len() / 1600) {
        let mut bytes = sound.clone();
        bytes[place..].iter_mut().take(16).for_each(|byte| *byte ^= 0x55);
        check(&bytes);
    }
    for length in [1, 5000, sound.len() / 2] {
        check(&sound[..length]);
    }
    check(b"not a database");
    assert!(refused > 5, "{refused}");
    folder.write("FILE", "");
    assert!(embed(&folder, "--cache FILE").refusal().contains("embed: FILE: "));
}
