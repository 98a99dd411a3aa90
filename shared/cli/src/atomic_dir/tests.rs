use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// All files under a folder, with their contents.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, content)| (format!("{name}/{below}"), content)));
        } else {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

fn expect(folder: &Path, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect();
    assert_eq!(files(folder), expected);
}

fn fill(folder: &Path, content: &[(&str, &str)]) {
    for (name, content) in content {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn filled(target: &Path, content: &[(&str, &str)]) -> AtomicDir {
    let directory = AtomicDir::create(target).unwrap();
    fill(directory.path(), content);
    directory
}

#[test]
fn a_directory_appears_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("above/out");
    drop(filled(&target, &[("file", "half")]));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "not even the folder above it");
    for content in ["first", "second"] {
        filled(&target, &[("file", content)]).commit().unwrap();
        expect(place.path(), &[("above/out/file", content)]);
    }
    fs::write(place.path().join("file"), "").unwrap();
    for bad in ["file", "file/out", ""] {
        let path = if bad.is_empty() { PathBuf::new() } else { place.path().join(bad) };
        assert!(AtomicDir::create(&path).is_err(), "{bad}");
    }
}

#[test]
fn links_are_followed_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("link");
    symlink("far/out", &link).unwrap();
    for content in ["first", "second"] {
        filled(&link, &[("file", content)]).commit().unwrap();
        assert!(link.is_symlink());
        expect(&place.path().join("far"), &[("out/file", content)]);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "the link and its target");
}

const OLD: [(&str, &str); 4] = [("a", "old"), ("b", "old"), ("c/d", "old"), ("c/e/f", "old")];
const NEW: [(&str, &str); 3] = [("b", "new"), ("c/d", "new"), ("g", "new")];

/// A place with an old and a new directory.
fn two() -> (TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let [old, new] = [("old", &OLD[..]), ("new", &NEW[..])].map(|(name, content)| {
        let folder = place.path().join(name);
        fill(&folder, content);
        folder
    });
    (place, old, new)
}

#[test]
fn each_way_replaces_everything() {
    let (place, old, new) = two();
    replace::rename_twice(&new, &old).unwrap();
    expect(&old, &NEW);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);

    let (place, old, new) = two();
    replace::fill(&new, &old).unwrap();
    expect(&old, &NEW);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);

    // From inside the directory itself, and with an entry that belongs to the file system.
    let (_place, old, new) = two();
    let inside = old.join(".old.abcdef.tmp");
    fs::rename(&new, &inside).unwrap();
    fs::create_dir(old.join("lost+found")).unwrap();
    replace::fill(&inside, &old).unwrap();
    assert!(old.join("lost+found").is_dir());
    expect(&old, &NEW);
}

#[test]
fn a_failed_move_leaves_everything_in_place() {
    let (place, old, new) = two();
    let target = place.path().join("target");
    // A directory is in the way of the last entry.
    fill(&target, &[("g/h", "other")]);
    let names = replace::entries(&new).unwrap();
    let error = replace::move_all(&names, &new, &target).unwrap_err().to_string();
    assert!(error.starts_with("g: "), "{error}");
    expect(&new, &NEW);
    expect(&target, &[("g/h", "other")]);
    expect(&old, &OLD);
}

#[test]
fn a_directory_that_cannot_be_put_in_place_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    let directory = filled(&target, &[("file", "new")]);
    // Another process was faster.
    fill(&target, &[("file", "other")]);
    let error = directory.commit().unwrap_err().to_string();
    let kept = error.split(" is kept as ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    expect(Path::new(kept), &[("file", "new")]);
    expect(&target, &[("file", "other")]);
    // The next process does not remove it as a leftover.
    drop(filled(&target, &[]));
    assert!(Path::new(kept).exists());
}

#[test]
fn leftovers_of_killed_processes_are_removed() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    let left = [place.path().join(".out.abcde1.tmp"), target.join(".out.abcde2.tmp")];
    let others = [".out.abcde.tmp", ".out.abcde3.tmp.x", ".output.abcde4.tmp"].map(|name| place.path().join(name));
    left.iter().chain(&others).for_each(|folder| fill(folder, &[("sub/file", "half")]));
    let living = filled(&place.path().join("./out"), &[("file", "other")]);
    assert!(AtomicDir::is_vacant(&target));
    let directory = filled(&target, &[("file", "new")]);
    assert_eq!(left.map(|folder| folder.exists()), [false; 2]);
    assert!(others.iter().all(|folder| folder.exists()) && living.path().join("file").exists());
    directory.commit().unwrap();
    assert!(!AtomicDir::is_vacant(&target));
    expect(&target, &[("file", "new")]);
}

#[test]
fn a_directory_keeps_its_permissions() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    filled(&target, &[("file", "first")]).commit().unwrap();
    let mode = || fs::metadata(&target).unwrap().mode() & 0o777;
    for old in [0o700, 0o750, 0o555] {
        fs::set_permissions(&target, fs::Permissions::from_mode(old)).unwrap();
        filled(&target, &[("file", "next")]).commit().unwrap();
        assert_eq!(mode(), old, "{old:o}");
    }
}

#[test]
fn creating_changes_nothing() {
    let (place, old, _) = two();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o750)).unwrap();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&old);
    let directory = AtomicDir::create(&old).unwrap();
    assert_eq!((directory.slow(), inode(&old)), (None, before));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    drop(directory);
    expect(&old, &OLD);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}
