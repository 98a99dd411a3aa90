//! What a run leaves behind.

use crate::model::with_model;

/// ONNX Runtime would note the session in the home directory and in /tmp.
#[test]
fn a_run_leaves_nothing_but_its_output() {
    let folder = with_model("tiny-bert");
    for name in ["home", "cache", "tmp"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let script = "\
        export HOME=$PWD/home XDG_CACHE_HOME=$PWD/cache TMPDIR=$PWD/tmp
        embed --device cpu --model BASE --role document corpus.jsonl -o v & wait $!
        find home cache tmp -mindepth 1
        ls /tmp/mat-debug-$!.log 2>/dev/null || true";
    assert_eq!(folder.shell(script).stdout(), "");
    assert!(folder.path("v").is_file());
}
