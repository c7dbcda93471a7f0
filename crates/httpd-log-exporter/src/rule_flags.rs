//! The flags with rules for the lines of a log, which `explain` has, too.

use std::path::PathBuf;

use anyhow::Result;

use crate::metrics::drop_rule::DropRule;
use crate::metrics::field_metric::FieldMetric;
use crate::metrics::label::Label;
use crate::metrics::route::Route;
use crate::metrics::rules::Rules;
use crate::metrics::rules_file;

/// Labels, routes, metrics of fields, and the lines that are not counted.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RuleFlags {
    /// Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular
    /// expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression
    /// does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable
    #[arg(long = "metrics.label", value_name = "NAME=FIELD[~REGEX[=>VALUE]]", value_delimiter = '\n', global = true)]
    labels: Vec<Label>,

    /// Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template,
    /// for example /users/:id. Repeatable; the first match wins, and other paths have the value other
    #[arg(long = "metrics.route", value_name = "NAME=REGEX|/TEMPLATE", value_delimiter = '\n', global = true)]
    routes: Vec<Route>,

    /// Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received.
    /// Repeatable
    #[arg(long = "metrics.counter", value_name = "NAME=FIELD", value_delimiter = '\n', global = true)]
    #[arg(value_parser = FieldMetric::counter)]
    counters: Vec<FieldMetric>,

    /// Histogram of a numeric field, with upper bounds of its buckets, for example
    /// httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default
    /// buckets. Repeatable
    #[arg(long = "metrics.histogram", value_name = "NAME=FIELD[:BUCKETS]", value_delimiter = '\n', global = true)]
    #[arg(value_parser = FieldMetric::histogram)]
    histograms: Vec<FieldMetric>,

    /// Lines that are not counted as requests, such as health checks: a regular expression for a field, for example
    /// path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod,
    /// @namespace and @container. Repeatable
    #[arg(long = "access-log.drop", value_name = "FIELD~REGEX", value_delimiter = '\n', global = true)]
    drops: Vec<DropRule>,

    /// YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms
    #[arg(long = "metrics.file", value_name = "FILE", global = true)]
    file: Option<PathBuf>,
}

impl RuleFlags {
    /// The rules of the flags, then the rules of the file.
    pub(crate) fn rules(&self) -> Result<Rules> {
        let Self { labels, routes, counters, histograms, drops, file } = self.clone();
        let mut rules = Rules { labels, routes, counters, histograms, drops };
        if let Some(file) = file {
            rules.extend(rules_file::read(&file)?);
        }
        Ok(rules)
    }
}
