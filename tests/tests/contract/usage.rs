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
        let long = folder.run(filter.name).arg("--help").stdout();
        assert!(long.contains(&format!("Usage: {}", filter.name)), "{long}");
        for heading in filter.headings {
            assert!(long.contains(&format!("\n{heading}:\n")), "{}: no heading {heading}:\n{long}", filter.name);
        }
        for section in ["Memory", "Examples"] {
            assert!(long.contains(&format!("\n{section}:\n")), "{}: no {section}:\n{long}", filter.name);
        }
        // The help is read in a terminal.
        let widest = long.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
        assert!(widest.chars().count() <= 100, "{}: {widest}", filter.name);
    }
}

#[test]
fn short_help_fits_one_screen() {
    let folder = Folder::new();
    for filter in ALL {
        let short = folder.run(filter.name).arg("-h").stdout();
        assert!(short.contains(&format!("Usage: {}", filter.name)) && short.contains("\nExample:\n"), "{short}");
        assert!(short.lines().count() <= 40 && short.lines().all(|line| line.chars().count() <= 100), "{short}");
        assert!(short.trim_end().lines().last().unwrap().contains("--help"), "{short}");
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
