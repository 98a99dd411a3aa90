//! Man pages, made from the flags.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const EXIT_STATUS: &str = "\
0    all that was asked is done, or the reader of stdout went away
1    finished, but the answer is no or records were skipped
2    usage, input or output, model or device error
130  ended by SIGINT, 143 by SIGTERM";

/// Writes the man page of `command`.
///
/// The filter's `after_long_help` gives the sections behind the options: a line without indentation that ends in a
/// colon begins one, and its text is indented. EXIT STATUS is the same for every filter and is added here.
pub(crate) fn man(command: &Command, out: &mut impl Write) -> io::Result<()> {
    let command = command.clone();
    let version = command.get_version().unwrap_or_default().to_owned();
    let sections = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command).manual("embtune").source(format!("embtune {version}")).date("");

    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    for (heading, body) in parse_sections(&sections) {
        section(&heading, &body, out)?;
    }
    section("EXIT STATUS", &EXIT_STATUS.lines().map(str::to_owned).collect::<Vec<_>>(), out)?;
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("embtune"), roman("(7), "), bold("embtune-formats"), roman("(5)")]);
    roff.to_writer(out)
}

fn parse_sections(text: &str) -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            sections.push((heading.to_uppercase(), Vec::new()));
        } else if let Some((_, body)) = sections.last_mut() {
            body.push(line.strip_prefix("  ").unwrap_or(line).to_owned());
        }
    }
    sections
}

/// A section whose lines stand as they are: commands and tables keep their columns.
fn section(heading: &str, body: &[String], out: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in body {
        roff.text([roman(line.as_str())]);
    }
    roff.control("fi", []);
    roff.to_writer(out)
}
