//! Help, version, man page, usage errors.

use embtune_tests::{FILTERS, Folder, workspace};

use crate::filters::ALL;

#[test]
fn the_table_has_every_filter() {
    assert_eq!(ALL.map(|filter| filter.name), FILTERS);
    let folders = std::fs::read_dir(workspace().join("bins")).unwrap();
    let mut names: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected = FILTERS;
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn help_names_every_group_of_flags() {
    let folder = Folder::new();
    for filter in ALL {
        let (short, long) =
            (folder.run(filter.name).arg("-h").stdout(), folder.run(filter.name).arg("--help").stdout());
        for help in [&short, &long] {
            assert!(help.contains(&format!("Usage: {}", filter.name)), "{help}");
            for heading in filter.headings {
                assert!(help.contains(&format!("\n{heading}:\n")), "{}: no heading {heading}:\n{help}", filter.name);
            }
        }
        assert!(short.lines().count() < long.lines().count());
        for section in ["Memory", "Examples"] {
            assert!(long.contains(&format!("\n{section}:\n")), "{}: no {section}:\n{long}", filter.name);
        }
        // A terminal's width: help is read there.
        let widest = long.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(widest.chars().count() <= 100, "{}: {widest}", filter.name);
    }
}

#[test]
fn the_version_is_the_workspaces() {
    for name in FILTERS {
        let version = Folder::new().run(name).arg("--version").stdout();
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    for filter in ALL {
        let folder = Folder::new();
        let message = folder.run(&format!("{} --no-such-flag", filter.line)).refusal();
        assert!(message.contains("'--no-such-flag'"), "{message}");
    }
}

#[test]
fn the_man_page_is_the_one_in_man() {
    let mut old = Vec::new();
    for name in FILTERS {
        let page = Folder::new().run(&format!("{name} --generate man")).stdout();
        let path = workspace().join(format!("man/{name}.1"));
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&page) {
            old.push(format!("man/{name}.1"));
        }
    }
    assert!(old.is_empty(), "not what the programs' flags say: {}\nhint: run `make man`", old.join(", "));
}

#[test]
fn what_cannot_be_shown_is_an_error() {
    for name in FILTERS {
        for flags in ["--help", "--version", "--generate man"] {
            let folder = Folder::new();
            let line = format!("{name} {flags}");
            let _ = folder.run(&line).to_full_disk().ran().with_code(2).saying("No space left");
            let silent = folder.run(&line).to_closed_pipe().ran().with_code(0);
            assert_eq!(silent.stderr(), "", "{silent}");
        }
    }
}
