//! Man pages, generated from the flags.

use clap::{Arg, ArgAction, Command};

const EXIT_STATUS: &str = "\
0    everything was done, or the reader of stdout closed it
1    finished, but a check failed or records were skipped
2    usage, input or output, model or device error
129  ended by SIGHUP
130  ended by SIGINT
143  ended by SIGTERM";

/// Indentation of the text after a tag, in characters.
const TAG_WIDTH: usize = 13;

/// The man page of `command`.
///
/// The filter's `after_long_help` has the sections after the options: a line without indentation that ends in a colon
/// begins a section, and its text is indented. EXIT STATUS is the same for every filter and is added here.
pub(crate) fn page(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let (name, version) = (command.get_name(), command.get_version().unwrap_or_default());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::default();
    page.request(&format!(".\\\" Generated from the flags by `{name} --generate man`: do not edit."));
    // Without a date, so that the same flags give the same bytes.
    page.request(&format!(".TH {} 1 \"\" \"embtune {version}\" \"embtune\"", name.to_uppercase()));
    page.request(".nh\n.ad l\n.SH NAME");
    page.line(format!("{} \\- {}", escape(name), escape(&lower_first(&about))));
    page.request(".SH SYNOPSIS");
    page.line(synopsis(&command));
    page.request(".SH DESCRIPTION");
    let description = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    for (index, paragraph) in description.split("\n\n").filter(|paragraph| *paragraph != about).enumerate() {
        page.request(if index > 0 { ".PP" } else { "" });
        page.line(markup(paragraph));
    }
    page.options(&command);
    let sections = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    for (heading, body) in parse_sections(&sections) {
        page.section(&heading, &body);
    }
    page.section("EXIT STATUS", &EXIT_STATUS.lines().collect::<Vec<_>>());
    page.request(".SH SEE ALSO\n.BR embtune (7),\n.BR embtune\\-formats (5)");
    page.0
}

/// The command with its required flags; the others are listed below.
fn synopsis(command: &Command) -> String {
    let mut parts = vec![bold(command.get_name())];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    parts.extend(shown().filter(|arg| !arg.is_positional() && arg.is_required_set()).map(tag));
    parts.push("[\\fIoptions\\fR]".into());
    for operand in shown().filter(|arg| arg.is_positional()) {
        parts.push(if operand.is_required_set() { tag(operand) } else { format!("[{}]", tag(operand)) });
    }
    parts.join(" ")
}

/// A flag with its value, or an operand, as it is typed.
fn tag(arg: &Arg) -> String {
    let value = || format!("\\fI{}\\fR", escape(&arg.get_value_names().unwrap_or_default().join(" ")));
    if arg.is_positional() {
        let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        return value() + if many { " ..." } else { "" };
    }
    let short = arg.get_short().map(|name| bold(&format!("-{name}")));
    let long = arg.get_long().map(|name| bold(&format!("--{name}")));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let names = names.join(", ");
    if takes_value(arg) { format!("{names} {}", value()) } else { names }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The sections of a help text: heading and lines.
fn parse_sections(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            sections.push((heading.to_uppercase(), Vec::new()));
        } else if let Some((_, body)) = sections.last_mut() {
            body.push(line.strip_prefix("  ").unwrap_or(line));
        }
    }
    sections
}

/// How the lines of a section are typeset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Prose,
    /// A term, at least two spaces, and its explanation, which continues on indented lines.
    Table,
    /// Commands and lists, which keep their lines and columns.
    Verbatim,
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// A line of roff.
    fn request(&mut self, roff: &str) {
        if !roff.is_empty() {
            self.0.push_str(roff);
            self.0.push('\n');
        }
    }

    /// A line of escaped text: a period at its beginning would make it a request.
    fn line(&mut self, text: String) {
        let guard = if text.starts_with('.') { "\\&" } else { "" };
        self.request(&format!("{guard}{}", text.replace("\n.", "\n\\&.")));
    }

    fn options(&mut self, command: &Command) {
        self.request(".SH OPTIONS");
        let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = Vec::new();
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let heading = arg.get_help_heading().or((!arg.is_positional()).then_some("Help"));
            match groups.iter_mut().find(|group| group.0 == heading) {
                Some((_, args)) => args.push(arg),
                None => groups.push((heading, vec![arg])),
            }
        }
        groups.sort_by_key(|(heading, _)| (heading.is_some(), *heading == Some("Help")));
        for (heading, args) in groups {
            self.request(&heading.map(|heading| format!(".SS {heading}")).unwrap_or_default());
            args.into_iter().for_each(|arg| self.option(arg));
        }
    }

    fn option(&mut self, arg: &Arg) {
        self.request(".TP");
        self.line(tag(arg));
        let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let (first, rest) = help.split_once("\n\n").unwrap_or((&help, ""));
        let mut first = markup(first);
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if takes_value(arg) && !defaults.is_empty() {
            first.push_str(&format!(" [default: {}]", escape(&defaults.join(","))));
        }
        if let Some(name) = arg.get_env() {
            first.push_str(&format!(" [env: {}]", escape(&name.to_string_lossy())));
        }
        self.line(first);
        for paragraph in rest.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            self.request(".IP");
            self.line(markup(paragraph));
        }
        let values = arg.get_possible_values();
        if takes_value(arg) && !values.is_empty() {
            self.request(".RS\n.PD 0");
            for value in values {
                self.request(&format!(".TP {TAG_WIDTH}"));
                self.line(bold(value.get_name()));
                self.line(markup(&value.get_help().map(ToString::to_string).unwrap_or_default()));
            }
            self.request(".PD\n.RE");
        }
    }

    fn section(&mut self, heading: &str, lines: &[&str]) {
        self.request(&format!(".SH {heading}"));
        let (mut layout, mut gap) = (None, false);
        for (index, line) in lines.iter().enumerate() {
            if line.trim().is_empty() {
                gap = true;
                continue;
            }
            let is_indented = line.starts_with(' ');
            // In a table, the explanation of a term that is too long for its column is on the next line.
            let is_long_term =
                layout == Some(Layout::Table) && !gap && lines.get(index + 1).is_some_and(|next| next.starts_with(' '));
            let row = line.split_once("  ").or(is_long_term.then_some((line, ""))).filter(|_| !is_indented);
            let next = match (layout, row) {
                _ if heading == "EXAMPLES" => Layout::Verbatim,
                (_, Some(_)) => Layout::Table,
                (Some(Layout::Table), None) if is_indented && !gap => Layout::Table,
                _ if is_indented => Layout::Verbatim,
                _ => Layout::Prose,
            };
            self.change(layout, next, gap);
            match (next, row) {
                (Layout::Table, Some((term, text))) => {
                    self.request(&format!(".TP {TAG_WIDTH}"));
                    self.line(bold(term));
                    self.line(escape(&one_line(text)));
                }
                (Layout::Verbatim, _) => self.line(escape(line)),
                _ => self.line(escape(&one_line(line))),
            }
            (layout, gap) = (Some(next), false);
        }
        self.request(if layout == Some(Layout::Verbatim) { ".fi" } else { "" });
    }

    /// The requests between two lines of a section.
    fn change(&mut self, last: Option<Layout>, next: Layout, gap: bool) {
        let is_new = last != Some(next);
        self.request(if is_new && last == Some(Layout::Verbatim) { ".fi" } else { "" });
        let leaves_table = last == Some(Layout::Table) && next != Layout::Table;
        self.request(if next != Layout::Table && last.is_some() && (gap || leaves_table) { ".PP" } else { "" });
        self.request(if is_new && next == Layout::Verbatim { ".nf" } else { "" });
    }
}

/// Escapes text for roff, which would read some characters as requests, break lines at them, or typeset others.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga")
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escape(text))
}

/// Escaped text with the parts between backticks in bold.
fn markup(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    (0..).zip(parts).map(|(index, part)| if index % 2 == 1 { bold(part) } else { escape(part) }).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Command {
        Command::new("prog")
            .version("1.2")
            .about("Do it")
            .long_about("Do it\n\n.Don't read `this`")
            .arg(Arg::new("file").value_name("FILE").num_args(0..).help("What to read"))
            .arg(Arg::new("form").long("form").value_name("FORM").required(true).value_parser(["a"]).help("Which"))
            .arg(Arg::new("seed").long("seed").value_name("NUM").default_value("42").env("SEED").help("Chance\n\nAny."))
            .after_long_help(
                "Notes:\n  Prose that\n  goes on.\n    code \\\n\n  term  words\n        more\n  long term\n        x\n\n  End.\n",
            )
    }

    #[test]
    fn a_page_describes_the_flags() {
        let page = page(&example());
        for expected in [
            ".TH PROG 1 \"\" \"embtune 1.2\" \"embtune\"\n",
            ".SH NAME\nprog \\- do it\n",
            "\n\\fBprog\\fR \\fB\\-\\-form\\fR \\fIFORM\\fR [\\fIoptions\\fR] [\\fIFILE\\fR ...]\n",
            ".SH DESCRIPTION\n\\&.Don\\(aqt read \\fBthis\\fR\n",
            "Chance [default: 42] [env: SEED]\n.IP\nAny.\n",
            ".RS\n.PD 0\n.TP 13\n\\fBa\\fR\n",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }

    #[test]
    fn prose_is_filled_and_code_is_not() {
        let page = page(&example());
        let expected = ".SH NOTES\nProse that\ngoes on.\n.nf\n  code \\e\n.fi\n\
                        .TP 13\n\\fBterm\\fR\nwords\nmore\n\
                        .TP 13\n\\fBlong term\\fR\nx\n.PP\nEnd.\n.SH EXIT STATUS\n";
        assert!(page.contains(expected), "{page}");
    }
}
