//! Where a model directory, a directory of shards or a file is written: mount points, overlays, links, file systems
//! that lack something. A finished output is never lost.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use embtune_tests::{Folder, Ran};

use crate::filters::{DOCUMENTS, PAIRS, workbench};

const TRAIN: &str = "mnrl-train --device cpu --model BASE --epochs 1 --batch-size 2 --warmup-steps 0 --threads 1 train.safetensors --out";

/// Checks that the folder holds a working model other than the base model, and nothing else.
#[track_caller]
fn is_trained(folder: &Folder, name: &str, ran: &Ran) {
    let names: Vec<_> = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let is_foreign = |name: &&std::ffi::OsString| {
        let name = name.to_string_lossy();
        name.starts_with('.') || name.contains(".new.") || name.contains(".old.") || name.contains("older")
    };
    assert!(!names.iter().any(|name| is_foreign(&name)), "{names:?}\n{ran}");
    let weights = folder.bytes(&format!("{name}/model.safetensors"));
    assert!(weights != folder.bytes("BASE/model.safetensors"), "not trained\n{ran}");
    folder.run(&format!("embed --device cpu --role document --model {name}")).stdin(DOCUMENTS).done();
}

/// An older model, with a file that the new one does not have.
fn write_older(folder: &Folder, name: &str) {
    folder.copy_fixture("parity/tiny-bert", name);
    folder.write(&format!("{name}/older.bin"), "");
    fs::create_dir(folder.path(&format!("{name}/2_older"))).unwrap();
    folder.write(&format!("{name}/2_older/file"), "");
}

/// Makes empty folders.
fn make(folder: &Folder, names: &[&str]) {
    names.iter().for_each(|name| fs::create_dir(folder.path(name)).unwrap());
}

#[test]
fn a_mount_point_is_filled() {
    let folder = workbench();
    fs::create_dir_all(folder.path("volume/lost+found")).unwrap();
    fs::create_dir(folder.path("out")).unwrap();
    let script = |flags: &str| format!("mount --bind volume out; exec {TRAIN} out {flags} > log");
    let Some(run) = folder.mounting(&script("")) else { return };
    let ran = run.done().saying("mnrl-train: out: is a mount point: its files are replaced one by one");
    assert_eq!(ran.stderr().matches("mount point").count(), 1, "{ran}");
    is_trained(&folder, "volume", &ran);
    assert!(folder.path("volume/lost+found").exists());

    let refused = folder.mounting(&script("")).unwrap().ran().with_code(2);
    let _ = refused.saying("out: exists already\nhint: --overwrite");
    folder.remove("volume");
    write_older(&folder, "volume");
    let ran = folder.mounting(&script("--overwrite")).unwrap().done();
    is_trained(&folder, "volume", &ran);
    assert!(!ran.listing.iter().any(|name| name.contains(".tmp")), "{ran}");
}

/// As in a container: only the volume can be written.
#[test]
fn a_volume_in_a_folder_that_cannot_be_written_is_filled() {
    let folder = workbench();
    make(&folder, &["volume", "place", "place/out"]);
    let mounts = "mount --bind place place; mount --bind volume place/out; mount -o remount,bind,ro place";
    let Some(run) = folder.mounting(&format!("{mounts}; exec {TRAIN} place/out > log")) else { return };
    let ran = run.done().saying("place/out: cannot write next to it: Read-only file system");
    is_trained(&folder, "volume", &ran);

    // If nothing can be written, the error comes before the training.
    let other = folder.mounting(&format!("{mounts}; exec {TRAIN} place/other > log")).unwrap().ran().with_code(2);
    assert_eq!(folder.read("log"), "", "{other}");
    let _ = other.saying("place/other: cannot write next to it: Read-only file system");
}

#[test]
fn a_folder_of_an_overlay_s_lower_layer_is_filled() {
    let folder = workbench();
    write_older(&folder, "lower/out");
    make(&folder, &["upper", "work", "merged", "saved"]);
    let script = format!(
        "mount -t tmpfs none work; mkdir work/upper work/work
         mount -t overlay overlay -o lowerdir=lower,upperdir=work/upper,workdir=work/work merged
         {TRAIN} merged/out --overwrite > log; ls -A merged; cp -r merged/out/. saved"
    );
    let Some(run) = folder.mounting(&script) else { return };
    let ran = run.done().saying("merged/out: is a directory of an overlay's lower layer");
    assert_eq!(ran.stdout(), "out\n");
    is_trained(&folder, "saved", &ran);
    assert!(folder.path("lower/out/older.bin").exists());
}

#[test]
fn shards_and_files_go_into_mount_points() {
    let folder = workbench();
    make(&folder, &["volume", "out"]);
    let shards = "pairs2shards --model BASE --shard-pairs 2 --out out pairs.jsonl";
    folder.write("pairs.jsonl", PAIRS);
    let Some(run) = folder.mounting(&format!("mount --bind volume out; exec {shards}")) else { return };
    let ran = run.done().saying("out: is a mount point");
    let shards: Vec<_> = ran.listing.iter().filter(|name| name.starts_with("volume/t")).collect();
    assert_eq!(shards, ["volume/train-00000.safetensors", "volume/train-00001.safetensors"], "{ran}");

    // A single file, as `docker run -v FILE:/out.jsonl` mounts it.
    let embed = "embed --device cpu --model BASE --role document corpus.jsonl";
    let expected = folder.run(embed).stdout();
    for older in ["", &"older ".repeat(10_000)] {
        folder.write("file", older);
        folder.write("out.jsonl", older);
        let inode = fs::metadata(folder.path("file")).unwrap().ino();
        let ran = folder.mounting(&format!("mount --bind file out.jsonl; exec {embed} -o out.jsonl")).unwrap().done();
        let ran = ran.saying("out.jsonl: it is a mount point: the file is overwritten");
        assert_eq!((folder.read("file"), fs::metadata(folder.path("file")).unwrap().ino()), (expected.clone(), inode));
        assert!(!ran.listing.iter().any(|name| name.contains(".tmp")), "{ran}");
    }
}

#[test]
fn a_disk_that_gets_full_while_the_model_is_saved_costs_a_rerun_of_the_saving_only() {
    let folder = workbench();
    fs::create_dir(folder.path("small")).unwrap();
    // There is room for the weights, but not for the other files.
    let train = format!("{TRAIN} small/out --checkpoint-dir kept");
    let weights = folder.bytes("BASE/model.safetensors").len() / 1024 + 8;
    let script = format!(
        "mount -t tmpfs -o size={weights}k none small; {train} > log && exit 9; test -z \"$(ls -A small)\"
         umount small; {train} --resume > log; cp -r small/out saved"
    );
    let Some(run) = folder.mounting(&script) else { return };
    let ran = run.done().saying("No space left on device").saying("the trained weights are kept in kept");
    is_trained(&folder, "saved", &ran);
}

#[test]
fn the_working_directory_is_filled_and_not_pulled_away() {
    let folder = workbench();
    write_older(&folder, "out");
    let train = TRAIN.replace("BASE", "../BASE").replace("train.safetensors", "../train.safetensors");
    let script = format!("cd out; {train} . --overwrite > ../log; ls -A .; test -e model.onnx");
    let ran = folder.shell(&script).done().saying(".: is the working directory of this program");
    is_trained(&folder, "out", &ran);
    // The log would be removed with the old files.
    let ran = folder.shell(&format!("cd out; {train} . --overwrite > log.jsonl")).ran().with_code(2);
    let _ = ran.saying("out/log.jsonl is inside --out .");
}

#[test]
fn a_link_is_followed() {
    let folder = workbench();
    fs::create_dir(folder.path("disk")).unwrap();
    symlink("disk/out", folder.path("link")).unwrap();
    for flags in ["", "--overwrite"] {
        let ran = folder.run(&format!("{TRAIN} link {flags}")).done();
        assert!(folder.path("link").is_symlink(), "{ran}");
        is_trained(&folder, "disk/out", &ran);
        assert_eq!(fs::read_dir(folder.path("disk")).unwrap().count(), 1, "{ran}");
    }
    symlink("disk/shards", folder.path("shards")).unwrap();
    folder.run("pairs2shards --model BASE --shard-pairs 2 --out shards").stdin(PAIRS).done();
    assert!(folder.path("disk/shards/train-00001.safetensors").exists() && folder.path("shards").is_symlink());
}

#[test]
fn folders_above_are_made_and_go_with_a_refusal() {
    let folder = workbench();
    let ran = folder.run(&format!("{TRAIN} a/b/out")).done();
    is_trained(&folder, "a/b/out", &ran);
    folder.run(&format!("{TRAIN} x/y/out --weights 1,2")).refusal();
    folder.run(&format!("{TRAIN} x/y/out --plan")).done();
    assert!(!folder.path("x").exists());
    let message = folder.run(&format!("{TRAIN} corpus.jsonl/out")).refusal();
    assert!(message.contains("corpus.jsonl/out: ") && message.contains("Not a directory"), "{message}");
}

#[test]
fn leftovers_of_a_killed_run_are_removed() {
    let folder = workbench();
    for name in [".out.aB3dEf.tmp", ".out.aB3dEf.tmp.mine", ".other.aB3dEf.tmp"] {
        folder.copy_fixture("parity/tiny-bert", name);
    }
    let ran = folder.run(&format!("{TRAIN} out")).done();
    is_trained(&folder, "out", &ran);
    let hidden: Vec<_> =
        ran.listing.iter().filter(|name| name.starts_with('.') && name.matches('/').count() == 1).collect();
    assert_eq!(hidden.iter().filter(|name| name.ends_with('/')).count(), 2, "{ran}");
    assert!(folder.path(".other.aB3dEf.tmp").exists() && folder.path(".out.aB3dEf.tmp.mine").exists());
}

const NO_EXCHANGE: &str =
    "int renameat2(int a, const char *b, int c, const char *d, unsigned e) { errno = EINVAL; return -1; }";

#[test]
fn a_file_system_that_cannot_exchange_renames_twice() {
    let folder = workbench();
    write_older(&folder, "out");
    let ran = folder.run_with(NO_EXCHANGE, &format!("{TRAIN} out --overwrite")).done();
    let ran = ran.saying("out: its file system cannot exchange two directories");
    is_trained(&folder, "out", &ran);
    assert!(!ran.listing.iter().any(|name| name.contains("older") || name.contains(".old.")), "{ran}");
}

/// Renaming `out`, or anything in it, fails.
const NO_RENAMING: &str = "
static int is_out(const char *path) {
    const char *name = strrchr(path, '/');
    return strcmp(name ? name + 1 : path, \"out\") == 0 || strstr(path, \"/out/\");
}
int renameat2(int a, const char *from, int c, const char *to, unsigned flags) {
    int (*next)(int, const char *, int, const char *, unsigned) = dlsym(RTLD_NEXT, \"renameat2\");
    if (is_out(from) || is_out(to)) { errno = EBUSY; return -1; }
    return next(a, from, c, to, flags);
}
int rename(const char *from, const char *to) {
    int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, \"rename\");
    if ((is_out(from) || is_out(to)) && !strstr(to, \"probe\")) { errno = EBUSY; return -1; }
    return next(from, to);
}";

#[test]
fn a_finished_model_that_cannot_get_its_name_is_kept_and_named() {
    for older in [false, true] {
        let folder = workbench();
        if older {
            write_older(&folder, "out");
        }
        let before = folder.listing();
        let ran = folder.run_with(NO_RENAMING, &format!("{TRAIN} out --overwrite")).ran().with_code(2);
        let message = ran.stderr();
        let kept = message.split(" is kept as ").nth(1).and_then(|rest| rest.lines().next());
        let kept = kept.unwrap_or_else(|| panic!("{ran}")).rsplit('/').next().unwrap_or_default();
        assert!(kept.starts_with("out.new.") && message.contains("mnrl-train: out: "), "{ran}");
        is_trained(&folder, kept, &ran);
        // The old files are still there, and the next run leaves both alone.
        assert!(before.iter().all(|name| ran.listing.contains(name)), "{ran}");
        folder.remove("out.checkpoints");
        folder.run(&format!("{TRAIN} out --overwrite")).done();
        is_trained(&folder, kept, &ran);
    }
}

#[test]
fn a_finished_file_that_cannot_get_its_name_is_kept_and_named() {
    let folder = workbench();
    let embed = "embed --device cpu --model BASE --role document --format jsonl corpus.jsonl";
    let ran = folder.run_with(NO_RENAMING, &format!("{embed} -o out")).ran().with_code(2);
    let kept = ran.stderr().split(" is kept as ").nth(1).and_then(|rest| rest.lines().next()).unwrap().to_owned();
    assert_eq!(fs::read_to_string(folder.path(&kept)).unwrap(), folder.run(embed).stdout(), "{ran}");
}

#[test]
fn an_output_keeps_the_permissions_of_its_file() {
    let folder = workbench();
    let embed = "embed --device cpu --model BASE --role document corpus.jsonl --format jsonl -o";
    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o7777;
    folder.shell(&format!("umask 027; {embed} new")).done();
    assert_eq!(mode("new"), 0o640, "what is new is as the umask has it");
    for old in [0o600, 0o664, 0o604] {
        fs::set_permissions(folder.path("new"), fs::Permissions::from_mode(old)).unwrap();
        folder.shell(&format!("umask 077; {embed} new")).done();
        assert_eq!(mode("new"), old, "{old:o}");
    }
    symlink("far", folder.path("near")).unwrap();
    folder.run(&format!("{embed} near")).done();
    assert!(folder.path("near").is_symlink() && folder.read("far") == folder.read("new"));
}

#[test]
fn an_output_that_root_writes_keeps_its_owner() {
    if !rustix::process::geteuid().is_root() {
        return embtune_tests::skip("needs root");
    }
    let folder = workbench();
    folder.write("out", "older");
    fs::set_permissions(folder.path("out"), fs::Permissions::from_mode(0o604)).unwrap();
    std::os::unix::fs::chown(folder.path("out"), Some(12345), Some(54321)).unwrap();
    folder.run("embed --device cpu --model BASE --role document corpus.jsonl --format jsonl -o out").done();
    let found = fs::metadata(folder.path("out")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12345, 54321, 0o604));
}

#[test]
fn paths_that_cannot_be_outputs_are_refused_before_the_work() {
    let folder = workbench();
    symlink("round", folder.path("round")).unwrap();
    let embed = "embed --device cpu --model BASE --role document corpus.jsonl -o";
    for (path, expected) in [
        ("BASE/", "is a directory"),
        ("new/", "is a directory"),
        ("..", "is a directory"),
        ("corpus.jsonl/out", "Not a directory"),
        ("round", "symbolic links"),
    ] {
        let message = folder.run(&format!("{embed} {path}")).refusal();
        assert!(message.contains(&format!("embed: {path}: ")) && message.contains(expected), "{message}");
    }
    let message = folder.run("embed --device cpu --model BASE corpus.jsonl -o").arg("").refusal();
    assert!(message.contains("names no file") || message.contains("a value is required"), "{message}");
    let message = folder.run("ir-eval --qrels qrels s=q,c -o report --per-query ./report").refusal();
    assert!(message.contains("./report: two outputs cannot be the same file"), "{message}");
}

#[test]
fn names_of_files_may_have_any_bytes() {
    let folder = workbench();
    let embed = "embed --device cpu --model BASE --role document corpus.jsonl -o";
    let expected = folder.run(&format!("{embed} plain")).done();
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes;
    for name in [&b"two\nlines"[..], b"\xff\xfe", &[b'n'; 255], " -o ".as_bytes()] {
        folder.run(embed).arg(bytes(name)).done();
        assert_eq!(fs::read(folder.root().join(bytes(name))).unwrap(), folder.bytes("plain"), "{name:?}\n{expected}");
    }
    let ran = folder.run(TRAIN).arg("to\nmodel").done();
    assert!(folder.path("to\nmodel/model.onnx").exists(), "{ran}");
    let message = ran.stderr();
    assert!(message.lines().all(|line| line.starts_with("mnrl-train: ")), "{ran}");
    // A name that ONNX Runtime could not open is refused before the training.
    let message = folder.run(TRAIN).arg(bytes(b"\xff")).refusal();
    assert!(message.contains("is not UTF-8"), "{message}");
    // The output may be the input.
    folder.run("embed --device cpu --model BASE --role document --format jsonl corpus.jsonl -o corpus.jsonl").done();
    assert_eq!(folder.read("corpus.jsonl").matches("embedding").count(), 3);
}

#[test]
fn files_that_are_not_part_of_a_model_are_not_removed_with_one() {
    for name in ["thesis.txt", "data/corpus.jsonl", ".git/HEAD"] {
        let folder = workbench();
        write_older(&folder, "out");
        fs::create_dir_all(folder.path(&format!("out/{name}")).parent().unwrap()).unwrap();
        folder.write(&format!("out/{name}"), "years of work");
        let ran = folder.run(&format!("{TRAIN} out --overwrite")).ran().with_code(2);
        let ran =
            ran.saying(&format!("out: contains \"{}\", which is not part of a model", name.split('/').next().unwrap()));
        assert!(
            folder.bytes(&format!("out/{name}")) == b"years of work" && folder.path("out/modules.json").exists(),
            "{ran}"
        );
    }
}
