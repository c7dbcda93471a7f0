//! The metric names of prometheus-nginxlog-exporter, and the conversion of counters to metric families.

use exporter_common::{Family, Histogram, Kind, Summary};

use super::counts::Times;
use super::namespace::Namespace;
use super::namespaces::Namespaces;
use super::quantiles::QUANTILES;
use crate::metrics::label::SEPARATOR;

/// The summaries of durations and their histograms, in the order of a namespace's fields: name, help.
const TIMES: [(&str, &str, &str); 3] = [
    (
        "http_response_time_seconds",
        "http_response_time_seconds_hist",
        "Duration of requests in seconds according to the access log.",
    ),
    (
        "http_upstream_time_seconds",
        "http_upstream_time_seconds_hist",
        "Time until upstream servers sent the whole response in seconds, summed per request, according to the access log.",
    ),
    (
        "http_upstream_connect_time_seconds",
        "http_upstream_connect_time_seconds_hist",
        "Time spent connecting to upstream servers in seconds, summed per request, according to the access log.",
    ),
];

/// The families of all namespaces.
pub(crate) fn families(namespaces: &Namespaces) -> Vec<Family> {
    let interval = namespaces.current_interval();
    let overflowed = Family::counter(
        "httpd_requests_overflowed_total",
        "Total number of requests counted with vhost and log labels \"other\" because --metrics.max-series was reached.",
        &[],
    );
    let families = namespaces.namespaces.iter().flat_map(|namespace| of_namespace(namespace, interval));
    families.chain([overflowed.value(namespaces.budget.overflowed)]).collect()
}

/// The families of a namespace. All names are valid, since the configuration is checked.
fn of_namespace(namespace: &Namespace, interval: u64) -> Vec<Family> {
    let times = (0..TIMES.len()).flat_map(|at| times(namespace, at, interval));
    [parse_errors(namespace), requests(namespace)].into_iter().flatten().chain(bytes(namespace)).chain(times).collect()
}

fn parse_errors(namespace: &Namespace) -> Option<Family> {
    let label = namespace.labels.first().filter(|_| namespace.has_label);
    let (names, values): (Vec<_>, Vec<_>) = label.into_iter().cloned().unzip();
    let mut family = Family::new(
        Kind::Counter,
        format!("{}parse_errors_total", namespace.prefix),
        "Total number of lines and numbers in the access log that could not be parsed.",
        names,
    )
    .ok()?;
    family.push(&values, namespace.parse_errors);
    Some(family)
}

fn requests(namespace: &Namespace) -> Option<Family> {
    let labels = Labels { namespace, names: namespace.label_names().collect() };
    let mut family =
        labels.family(Kind::Counter, "http_response_count_total", "Total number of requests in the access log.")?;
    for (key, requests) in namespace.requests.iter().filter(|(_, requests)| **requests > 0) {
        family.push(&labels.values(key), *requests);
    }
    Some(family)
}

#[expect(clippy::cast_precision_loss, reason = "the exposition formats have only doubles; exact below 2^53")]
fn bytes(namespace: &Namespace) -> Vec<Family> {
    let labels = Labels { namespace, names: namespace.rest_names().collect() };
    let sent = "Total number of bytes sent according to the access log.";
    let received = "Total number of bytes received according to the access log.";
    let mut sent = labels.family(Kind::Counter, "http_response_size_bytes", sent);
    let mut received = labels.family(Kind::Counter, "http_request_size_bytes", received);
    for (key, totals) in namespace.rest.iter() {
        for (family, bytes) in [&mut sent, &mut received].into_iter().zip(totals.bytes) {
            if let (Some(family), Some(bytes)) = (family, bytes) {
                family.push(&labels.values(key), bytes as f64);
            }
        }
    }
    [sent, received].into_iter().flatten().collect()
}

/// The summary and the histogram of a duration.
fn times(namespace: &Namespace, at: usize, interval: u64) -> Vec<Family> {
    let (summary, histogram, help) = TIMES[at];
    let labels = Labels { namespace, names: namespace.rest_names().collect() };
    let mut summaries = labels.family(Kind::Summary, summary, help);
    let mut histograms = labels.family(Kind::Histogram, histogram, help);
    for (key, totals) in namespace.rest.iter() {
        let Some(times) = &totals.times[at] else { continue };
        let (values, histogram) = (labels.values(key), histogram_of(times, &namespace.bounds));
        if let (Some(summaries), Some(histograms)) = (&mut summaries, &mut histograms) {
            let quantiles = QUANTILES.into_iter().zip(times.window.quantiles(interval));
            let summary = Summary::new(quantiles, histogram.sum.unwrap_or_default(), histogram.count);
            summaries.push(&values, summary);
            histograms.push(&values, histogram);
        }
    }
    [summaries, histograms].into_iter().flatten().collect()
}

fn histogram_of(times: &Times, bounds: &[f64]) -> Histogram {
    let mut count = 0;
    let mut cumulative = times.counts.iter().map(|bucket| {
        count += bucket;
        count
    });
    let buckets: Vec<_> = bounds.iter().copied().zip(cumulative.by_ref()).collect();
    let count = cumulative.last().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "the exposition formats have only doubles")]
    Histogram::new(buckets, Some(times.sum as f64 / 1e9), count)
}

/// The labels of a family.
struct Labels<'a> {
    namespace: &'a Namespace,
    /// The names of those with values of a line.
    names: Vec<&'a str>,
}

impl<'a> Labels<'a> {
    /// An empty family.
    fn family(&self, kind: Kind, name: &str, help: &'static str) -> Option<Family> {
        let fixed = self.namespace.labels.iter().map(|(name, _)| name.as_str());
        let names = fixed.chain(self.names.iter().copied()).map(str::to_owned);
        Family::new(kind, format!("{}{name}", self.namespace.prefix), help, names).ok()
    }

    /// The values of all labels of a series.
    fn values(&self, key: &'a str) -> Vec<&'a str> {
        let fixed = self.namespace.labels.iter().map(|(_, value)| value.as_str());
        fixed.chain(key.split(SEPARATOR).take(self.names.len())).collect()
    }
}
