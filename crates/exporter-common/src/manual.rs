//! The subcommands `completions` and `man`, which print a shell's completions and the manual pages.

use std::io;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, ValueEnum, value_parser};
use clap_complete::aot::{self, Generator};

const COMPLETIONS: &str = "completions";
const MAN: &str = "man";
const EXIT_STATUS: &str = "Exit status:\n  0\n      Success";

/// A shell for which there are completions.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Adds the subcommands to a command line that has all others.
pub(crate) fn with_subcommands(command: Command) -> Command {
    let shell = Arg::new("SHELL").required(true).value_parser(value_parser!(Shell)).help("Shell that reads the script");
    let completions = Command::new(COMPLETIONS)
        .about("Print a script that completes flags and their values in a shell")
        .after_help(EXIT_STATUS)
        .arg(shell);
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let names: Vec<_> = names.chain([COMPLETIONS.to_owned(), MAN.to_owned()]).collect();
    let described = Arg::new("COMMAND")
        .value_parser(PossibleValuesParser::new(names))
        .help("Command to describe [default: the program itself]");
    let man = Command::new(MAN)
        .about("Print the manual page of the program or of a command, for `man -l -`")
        .after_help(EXIT_STATUS)
        .arg(described);
    command.subcommand(completions).subcommand(man)
}

/// The output of `completions` or `man`; `None` for other command lines. The version is the release's, because
/// generated files are committed before their revision is known.
pub(crate) fn output(
    command: impl FnOnce() -> Command,
    version: &'static str,
    matches: &ArgMatches,
) -> io::Result<Option<Vec<u8>>> {
    let Some((name @ (COMPLETIONS | MAN), matches)) = matches.subcommand() else { return Ok(None) };
    let mut command = command().version(version).disable_help_subcommand(true);
    command.set_bin_name(command.get_name().to_owned());
    command.build();
    let mut output = Vec::new();
    if name == MAN {
        let source = format!("{} {version}", command.get_name());
        let described = match matches.get_one::<String>("COMMAND") {
            Some(name) => command.find_subcommand_mut(name),
            None => Some(&mut command),
        };
        output = described.map(|command| manual_page(command, &source)).unwrap_or_default().into();
    } else {
        match matches.get_one("SHELL").copied().unwrap_or(Shell::Bash) {
            Shell::Bash => output = bash(&command)?.into(),
            Shell::Fish => aot::Fish.try_generate(&command, &mut output)?,
            Shell::Zsh => aot::Zsh.try_generate(&command, &mut output)?,
        }
    }
    Ok(Some(output))
}

/// The completions of bash. clap_complete writes the dashes of the program's name in two ways, so that the part of the
/// script for a subcommand is not found: <https://github.com/clap-rs/clap/issues/6421>.
fn bash(command: &Command) -> io::Result<String> {
    let mut script = Vec::new();
    aot::Bash.try_generate(command, &mut script)?;
    let label = |dash| command.get_name().replace('-', dash) + "__subcmd__";
    Ok(String::from_utf8_lossy(&script).replace(&label("__subcmd__"), &label("__")))
}

/// A manual page in the format man(7).
fn manual_page(command: &mut Command, source: &str) -> String {
    let usage = command.render_usage().to_string();
    let name = command.get_display_name().unwrap_or(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = format!(".TH {name} 1 \"\" \"{source}\"\n.SH NAME\n{} \\- {}\n", escaped(name), escaped(&about));
    page.push_str(".SH SYNOPSIS\n");
    for line in usage.trim_start_matches("Usage:").lines() {
        page.push_str(&format!("{}\n.br\n", escaped(line.trim())));
    }
    page.push_str(&format!(".SH DESCRIPTION\n{}\n", escaped(&about)));
    let visible: Vec<_> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    let mut headings = vec![None];
    for arg in &visible {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        page.push_str(&format!(".SH {}\n", heading.unwrap_or("Options").to_uppercase()));
        for arg in visible.iter().filter(|arg| arg.get_help_heading() == heading) {
            option(arg, &mut page);
        }
    }
    if command.has_subcommands() {
        page.push_str(".SH COMMANDS\n");
    }
    for subcommand in command.get_subcommands() {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let name = subcommand.get_display_name().unwrap_or(subcommand.get_name());
        entry(&format!("\\fB{}\\fR(1)", escaped(name)), &about, &mut page);
    }
    // The sections after the flags of the help (`Examples:`) are sections here.
    for line in command.get_after_help().map(ToString::to_string).unwrap_or_default().lines() {
        match (line.strip_prefix("      "), line.strip_prefix("  ")) {
            (Some(meaning), _) => page.push_str(&format!("{}\n", escaped(meaning))),
            (_, Some(entry)) => page.push_str(&format!(".TP\n\\fB{}\\fR\n", escaped(entry))),
            _ if line.is_empty() => {}
            _ => page.push_str(&format!(".SH \"{}\"\n", line.trim_end_matches(':').to_uppercase())),
        }
    }
    page
}

/// Appends a flag or an argument with its values, its default and its variable.
fn option(arg: &Arg, page: &mut String) {
    let names = [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))];
    let names: Vec<_> = names.into_iter().flatten().collect();
    let mut head = format!("\\fB{}\\fR", escaped(&names.join(", ")));
    if arg.is_positional() || arg.get_num_args().is_some_and(|range| range.takes_values()) {
        let values = arg.get_value_names().map_or_else(|| arg.get_id().to_string(), |names| names.join(" "));
        head.push_str(&format!(" \\fI{}\\fR", escaped(&values)));
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && !arg.is_hide_default_value_set() {
            head.push_str(&escaped(&format!(" [default: {}]", defaults.join(" "))));
        }
    }
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    entry(head.trim_start_matches("\\fB\\fR "), &help, page);
    if !arg.is_hide_possible_values_set() {
        for value in arg.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
            page.push_str(&format!(".br\n\\fB{}\\fR{}\n", escaped(value.get_name()), escaped(&help)));
        }
    }
    if let Some(variable) = arg.get_env() {
        page.push_str(&format!(".br\nEnvironment variable: \\fB{}\\fR\n", escaped(&variable.to_string_lossy())));
    }
}

/// Appends an entry of a list with its meaning.
fn entry(head: &str, meaning: &str, page: &mut String) {
    page.push_str(&format!(".TP\n{head}\n{}\n", escaped(meaning)));
}

/// Escapes a text. `man` cannot show an ellipsis in the locale C. At the start of a line, a dot or an apostrophe would be
/// an instruction.
fn escaped(text: &str) -> String {
    let text =
        text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('\n', " ").replace('…', "...");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}
