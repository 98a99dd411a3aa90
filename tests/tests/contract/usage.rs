//! Help, version, man page and usage errors.

use std::collections::BTreeSet;

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

/// Columns of a narrow terminal; a short help fits on one without scrolling.
const COLUMNS: usize = 100;
const LINES: usize = 40;

#[test]
fn help_names_every_group_of_flags() {
    for filter in ALL {
        let help = Folder::new().run(filter.name).arg("--help").stdout();
        assert!(help.contains(&format!("Usage: {}", filter.name)), "{help}");
        for heading in filter.headings.iter().chain(&["Memory", "Examples"]) {
            assert!(help.contains(&format!("\n{heading}:\n")), "{}: no heading {heading}:\n{help}", filter.name);
        }
        assert_eq!(too_wide(&help), [""; 0], "{}", filter.name);
    }
}

#[test]
fn short_help_fits_on_one_screen() {
    for filter in ALL {
        let help = Folder::new().run(filter.name).arg("-h").stdout();
        assert!(help.contains(&format!("Usage: {}", filter.name)), "{help}");
        let count = help.lines().count();
        assert!(count <= LINES, "{} -h has {count} lines, and at most {LINES} fit:\n{help}", filter.name);
        assert_eq!(too_wide(&help), [""; 0], "{}", filter.name);
        let last = help.lines().rfind(|line| !line.is_empty()).unwrap();
        assert!(last.contains("--help"), "{} -h does not end with a pointer to --help:\n{help}", filter.name);
    }
}

/// The lines that a terminal would break.
fn too_wide(help: &str) -> Vec<&str> {
    help.lines().filter(|line| line.chars().count() > COLUMNS).collect()
}

/// The commands of filters in the examples of a help text, without pipes and redirections.
fn examples(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| !(line.starts_with("Example") && line.ends_with(':')));
    let text = section.skip(1).collect::<Vec<_>>().join("\n").replace("\\\n", " ").replace("|\n", "| ");
    let commands = text.split(['|', '\n']).map(|command| command.split('>').next().unwrap_or_default().trim());
    let is_filter = |command: &&str| FILTERS.contains(&command.split(' ').next().unwrap_or_default());
    commands.filter(is_filter).map(str::to_owned).collect()
}

#[test]
fn examples_of_the_help_parse() {
    for name in FILTERS {
        for flag in ["-h", "--help"] {
            let help = Folder::new().run(name).arg(flag).stdout();
            let examples = examples(&help);
            assert!(examples.iter().any(|example| example.starts_with(name)), "{name} {flag} has no example:\n{help}");
            for example in examples {
                // The files of an example are missing here, which is found out when its flags have been understood.
                let ran = Folder::new().shell(&format!("export HF_HUB_OFFLINE=1\n{example} < /dev/null")).ran();
                assert!(!ran.stderr().contains("try '--help'"), "{name} {flag}: {example}\n{ran}");
            }
        }
    }
}

#[test]
fn the_man_page_has_every_flag() {
    for name in FILTERS {
        let page = std::fs::read_to_string(workspace().join(format!("man/{name}.1")))
            .unwrap()
            .replace("\\-", "-")
            .replace("\\fB", " ");
        let in_page: BTreeSet<&str> = flags(&page).collect();
        let help = Folder::new().run(name).arg("--help").stdout();
        let described = help.lines().filter(|line| line.trim_start().starts_with('-'));
        let missing: Vec<&str> = described.flat_map(flags).filter(|flag| !in_page.contains(flag)).collect();
        assert_eq!(missing, [""; 0], "man/{name}.1 lacks flags of {name} --help");
    }
}

/// The long flags in a text.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())))
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
fn help_and_version_that_cannot_be_printed_are_an_error() {
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
