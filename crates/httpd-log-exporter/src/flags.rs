//! The command-line flags and their validation.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use clap::builder::{BoolishValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use exporter_common::Purpose;

use crate::compression;
use crate::container::Stream;
use crate::format::Format;
use crate::format::presets::PRESETS;
use crate::input::Input;
use crate::metrics::field_metric;
use crate::metrics::line_rules::LineRules;
use crate::metrics::rules::Rules;
use crate::permission;
use crate::rule_flags::RuleFlags;
use crate::tail::StartAt;
use crate::tail::log_paths::LogPaths;

/// The flags that only this exporter has.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Access log to follow: a path, a glob (** matches any number of folders), a FIFO, - for standard input,
    /// syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or syslog+unix:/PATH. Repeatable for several logs of the same server
    #[arg(long = "access-log", value_name = "SOURCE", value_delimiter = '\n', required_unless_present = "config_file")]
    #[arg(value_parser = |text: &str| Input::parse(text).map(|_| text.to_owned()))]
    pub(crate) access_logs: Vec<String>,

    /// Configuration of prometheus-nginxlog-exporter (.hcl, .yaml or .yml), whose metrics are exported under their names. Its
    /// address, port and path of metrics apply unless their flags are used
    #[arg(long = "config.file", value_name = "FILE")]
    #[arg(conflicts_with_all = ["access_logs", "format", "regex", "container", "drops", "buckets", "exemplar", "routes", "labels", "counters", "histograms", "file"])]
    pub(crate) config_file: Option<PathBuf>,

    /// Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx,
    /// traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx's log_format or Apache's LogFormat, copied
    /// from the server's configuration
    #[arg(long = "access-log.format", value_name = "FORMAT", default_value = "combined", global = true)]
    #[arg(value_parser = FormatParser, hide_possible_values = true)]
    format: Format,

    /// Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …
    #[arg(long = "access-log.regex", value_name = "REGEX", global = true, conflicts_with = "format")]
    #[arg(value_parser = Format::from_regex)]
    regex: Option<Format>,

    /// Unwrap container logs (Docker's json-file, CRI) and read this stream
    #[arg(long = "access-log.container", value_name = "STREAM", value_enum, global = true)]
    pub(crate) container: Option<Stream>,

    /// Where to start reading a log that exists at startup; a log that appears later is read from its beginning
    #[arg(long = "access-log.start", value_name = "WHERE", default_value = "end", value_enum)]
    pub(crate) start: StartAt,

    /// File that stores read positions and counters, so that a restart neither loses nor repeats a line
    #[arg(long = "state.file", value_name = "FILE")]
    pub(crate) state_file: Option<PathBuf>,

    /// Upper bounds of the duration histogram buckets in seconds, separated by commas
    #[arg(long = "metrics.buckets", value_name = "LIST", default_value = DEFAULT_BUCKETS)]
    #[arg(allow_hyphen_values = true)] // -1,2 gets the error of this flag
    pub(crate) buckets: Buckets,

    /// Add native histograms to the classic ones, for scrapers that request the protobuf format; disable them with =false
    #[arg(long = "metrics.native-histograms", value_name = "BOOL", default_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    #[arg(value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub(crate) native_histograms: bool,

    /// Field of the log with the trace ID of a request, or its header traceparent: an nginx variable, an Apache directive,
    /// a JSON key or a group of the regular expression, for the exemplars of duration histograms
    #[arg(long = "metrics.exemplar", value_name = "FIELD")]
    exemplar: Option<String>,

    /// Maximum number of series in all families; additional virtual hosts and values of labels are counted as other
    #[arg(long = "metrics.max-series", value_name = "COUNT", default_value = "10000")]
    #[arg(value_parser = |text: &str| text.parse::<usize>().map_err(|_| "expected a whole number"))]
    pub(crate) max_series: usize,

    #[command(flatten)]
    pub(crate) rules: RuleFlags,

    // a common mistake, so that its error names the right flag
    #[arg(hide = true, value_name = "FILE")]
    #[arg(value_parser = |text: &str| Err::<String, _>(format!("specify a log as --access-log={text}")))]
    _without_flag: Option<String>,
}

/// Parses a format, and proposes the presets to shells.
#[derive(Clone)]
struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Format, clap::Error> {
        Format::from_str.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(PRESETS.iter().map(|preset| PossibleValue::new(preset.name).help(preset.about))))
    }
}

const DEFAULT_BUCKETS: &str = field_metric::SECONDS;

impl Flags {
    /// The format that the flags select, and the rules for its fields.
    pub(crate) fn format(&self, rules: &Rules) -> Result<(Format, Option<LineRules>)> {
        let format = self.regex.as_ref().unwrap_or(&self.format).clone();
        let format = match &self.exemplar {
            None => format,
            Some(_) if !format.has_time() => {
                bail!(
                    "--metrics.exemplar requires a format with a duration: add $request_time in nginx or %D in Apache"
                )
            }
            Some(field) => format.with_trace(field).map_err(|error| anyhow!("--metrics.exemplar {field}: {error}"))?,
        };
        LineRules::of(format, rules)
    }

    /// Whether the buckets differ from the default.
    pub(crate) fn has_custom_buckets(&self) -> bool {
        DEFAULT_BUCKETS.parse().ok().as_ref() != Some(&self.buckets)
    }
}

/// The upper bounds of a histogram's buckets, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets(pub(crate) Vec<f64>);

impl FromStr for Buckets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        field_metric::bounds(text).map(Self)
    }
}

/// Validates the logs that a flag names: each must be a kind of file that can be followed, or read once. For `--check`,
/// each must also exist and be readable.
pub(crate) fn check(flag: &str, sources: &[String], purpose: Purpose) -> Result<()> {
    let require_readable = purpose == Purpose::Check;
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for source in sources {
        // a missing log has no inode yet, so compare paths
        if !seen.insert(resolved(source).unwrap_or_else(|| source.into())) {
            faults.push(format!("duplicate {flag} {source}"));
        }
        match Input::parse(source) {
            Ok(Input::Files(LogPaths::Path(path))) => faults.extend(file_fault(flag, source, &path, purpose)),
            Ok(Input::Files(log_paths @ LogPaths::Glob(_))) if require_readable => {
                let found = log_paths.list().into_iter();
                faults.extend(found.filter_map(|(path, found)| match found {
                    Ok(_) => file_fault(flag, source, &path, purpose),
                    Err(error) => Some(permission::explain(&path, &error, "read")),
                }));
            }
            Ok(Input::Unix(path)) if require_readable => faults.extend(directory_fault(flag, &path)),
            _ => {}
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// The path of a file after resolving symbolic links in its directory.
fn resolved(source: &str) -> Option<PathBuf> {
    let Ok(Input::Files(LogPaths::Path(path))) = Input::parse(source) else { return None };
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().or_else(|_| std::path::absolute(directory)).ok()?;
    Some(directory.join(path.file_name()?))
}

/// Why a flag's file or socket cannot be created: its directory cannot be opened.
pub(crate) fn directory_fault(flag: &str, path: &Path) -> Option<String> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty())?;
    // with the dot, a file instead of a directory is an error too
    let error = std::fs::metadata(directory.join(".")).err()?;
    Some(format!("{flag}: {}", permission::explain(directory, &error, "open")))
}

/// Why a file cannot be followed.
fn file_fault(flag: &str, source: &str, path: &Path, purpose: Purpose) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some(format!("{flag} {source} is a directory: specify a file")),
        Ok(metadata) if !metadata.is_file() => Some(format!("{flag} {source} is not a file or a FIFO")),
        found => match found.and_then(|_| compression::is_compressed(path)) {
            Ok(true) if purpose != Purpose::Once => {
                Some(format!("{flag} {} is compressed: count it with --once", path.display()))
            }
            Ok(_) => None,
            Err(error) => (purpose == Purpose::Check).then(|| permission::explain(path, &error, "open")),
        },
    }
}

/// Validates that the format has the fields that other flags need.
pub(crate) fn check_format(flags: &Flags, rules: &Rules) -> Result<()> {
    let (format, _) = flags.format(rules)?;
    if flags.has_custom_buckets() && !format.has_time() {
        tracing::warn!(
            format = format.name,
            "--metrics.buckets has no effect: the format has no duration; add $request_time in nginx or %D in Apache"
        );
    }
    if !rules.routes.is_empty() && !format.has_path() {
        bail!("--metrics.route requires a format with the request's path");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_bounds_are_ascending_numbers() {
        assert_eq!("0.1, 1,2.5".parse(), Ok(Buckets(vec![0.1, 1.0, 2.5])));
        assert_eq!("1,+Inf".parse(), Ok(Buckets(vec![1.0])));
        for text in ["", "1,", "x", "1,1", "2,1", "0", "-1", "nan", "inf,inf"] {
            assert!(text.parse::<Buckets>().is_err(), "{text}");
        }
    }
}
