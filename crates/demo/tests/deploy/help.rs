//! The help of the exporters and the errors of their flags.

use crate::{EXPORTERS, released};

/// The sections of the help, in their order.
const SECTIONS: [&str; 10] =
    ["Commands", "Options", "Web", "Scrape", "Log", "Collectors", "Environment", "Examples", "Files", "Exit status"];

/// The sections that only some programs have.
const OPTIONAL: [&str; 2] = ["Collectors", "Environment"];

#[test]
fn the_help_of_every_program_has_the_same_sections_in_the_same_order() {
    for (name, line) in EXPORTERS {
        let help = released(*line).render_long_help().to_string();
        let headings = help.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.strip_suffix(':'));
        let found: Vec<_> = headings.collect();
        let expected = SECTIONS.into_iter().filter(|section| !OPTIONAL.contains(section) || found.contains(section));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn every_duration_flag_names_its_units() {
    for (name, line) in EXPORTERS {
        let command = released(*line);
        let all = std::iter::once(&command).chain(command.get_subcommands()).flat_map(clap::Command::get_arguments);
        let is_duration = |arg: &&clap::Arg| arg.get_value_names().is_some_and(|names| names[0] == "DURATION");
        let durations: Vec<_> = all.filter(is_duration).collect();
        assert!(durations.len() >= 2, "{name}");
        for flag in durations {
            let help = flag.get_help().unwrap().to_string();
            assert!(help.contains("with its unit: 500ms"), "{name}: {}", flag.get_id());
        }
    }
}

/// Parts of errors of Rust's standard library. They do not name the expected value.
const RAW_ERRORS: [&str; 3] = ["found in string", "invalid float", "provided string"];

#[test]
fn an_invalid_value_is_reported_with_the_expected_values() {
    let mut refused = 0;
    for (name, line) in EXPORTERS {
        for flag in released(*line).get_arguments().filter_map(clap::Arg::get_long) {
            let Err(error) = released(*line).try_get_matches_from([name, &*format!("--{flag}=?")]) else { continue };
            let error = error.to_string();
            refused += usize::from(error.contains("invalid value"));
            assert!(!RAW_ERRORS.iter().any(|raw| error.contains(raw)), "{name}: {error}");
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_negative_value_is_a_value_of_its_flag() {
    let mut tried = 0;
    for (name, line) in EXPORTERS {
        for flag in released(*line).get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let (Some(long), false) = (flag.get_long(), flag.is_require_equals_set()) else { continue };
            let value = match flag.get_value_names().map(|names| names[0].as_str()) {
                Some("DURATION") => "-5s",
                Some("LIST") => "-1,2",
                _ => "-1",
            };
            let Err(error) = released(*line).try_get_matches_from([name, &*format!("--{long}"), value]) else {
                continue;
            };
            tried += usize::from(error.kind() == clap::error::ErrorKind::ValueValidation);
            assert_ne!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{name}: {error}");
        }
    }
    assert!(tried > 20, "{tried}");
}
