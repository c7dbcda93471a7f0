//! The counters of a namespace in the state file. The quantiles of summaries start again: they are of the last minutes.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::counts::{Budget, TIMES, Times};
use super::namespace::Namespace;
use super::namespaces::Namespaces;
use crate::metrics::label::{MAX_VALUE, SEPARATOR};
use crate::state::text;

/// The saved counters of a namespace, which is found by its name and the prefix of its metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedNamespace {
    name: String,
    prefix: String,
    /// The labels of requests.
    labels: Vec<String>,
    requests: Vec<(Vec<String>, u64)>,
    /// The labels of bytes and durations.
    total_labels: Vec<String>,
    totals: Vec<SavedTotals>,
    /// The upper bounds of the histograms in seconds.
    bounds: Vec<f64>,
    parse_errors: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedTotals {
    labels: Vec<String>,
    /// Sent, then received.
    bytes: [Option<Sum>; 2],
    times: [Option<SavedTimes>; TIMES],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedTimes {
    counts: Vec<u64>,
    nanoseconds: Sum,
}

/// More than 64 bits, since a line may claim 2^63 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Sum(#[serde(with = "text")] u128);

impl Namespaces {
    /// The counters of all namespaces.
    pub(crate) fn saved(&self) -> Vec<SavedNamespace> {
        self.namespaces.iter().map(SavedNamespace::of).collect()
    }

    /// Requests counted with other as labels because of the limit.
    pub(crate) fn overflowed(&self) -> u64 {
        self.budget.overflowed
    }

    /// Adds saved counters. Returns whether all of them continue, since other settings reset some.
    pub(crate) fn restore(&mut self, saved: &[SavedNamespace], overflowed: u64) -> bool {
        let Self { namespaces, budget, .. } = self;
        budget.overflowed += overflowed;
        let mut all = true;
        for namespace in namespaces {
            let known = saved.iter().find(|saved| saved.name == namespace.name && saved.prefix == namespace.prefix);
            if let Some(saved) = known {
                all &= saved.restore(namespace, budget);
            }
        }
        all
    }
}

impl SavedNamespace {
    fn of(namespace: &Namespace) -> Self {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let labels: Vec<_> = namespace.label_names().collect();
        let total_labels: Vec<_> = namespace.rest_names().collect();
        let values = |key: &str, labels: usize| key.split(SEPARATOR).take(labels).map(str::to_owned).collect();
        let requests = namespace.requests.iter().filter(|(_, requests)| **requests > 0);
        let totals = namespace.rest.iter().map(|(key, totals)| SavedTotals {
            labels: values(key, total_labels.len()),
            bytes: totals.bytes.map(|bytes| bytes.map(Sum)),
            times: totals.times.each_ref().map(|times| {
                let times = times.as_ref()?;
                Some(SavedTimes { counts: times.counts.to_vec(), nanoseconds: Sum(times.sum) })
            }),
        });
        Self {
            name: namespace.name.clone(),
            prefix: namespace.prefix.clone(),
            requests: requests.map(|(key, requests)| (values(key, labels.len()), *requests)).collect(),
            totals: totals.collect(),
            total_labels: owned(total_labels.clone()),
            labels: owned(labels),
            bounds: namespace.bounds.clone(),
            parse_errors: namespace.parse_errors,
        }
    }
}

impl SavedNamespace {
    fn restore(&self, namespace: &mut Namespace, budget: &mut Budget) -> bool {
        let (labels, total_labels) =
            (namespace.label_names().eq(&self.labels), namespace.rest_names().eq(&self.total_labels));
        if !labels || !total_labels {
            let name = &self.name;
            tracing::warn!(
                namespace = name,
                "the state file has other labels: the counters of the namespace start at 0"
            );
            return false;
        }
        namespace.parse_errors += self.parse_errors;
        for (values, requests) in &self.requests {
            let place = namespace.requests.restored(key(values).as_bytes(), budget);
            *namespace.requests.totals(place) += requests;
        }
        let same_bounds = self.bounds == namespace.bounds;
        if !same_bounds {
            tracing::warn!(
                namespace = self.name,
                "the state file has other buckets: histograms and summaries start at 0"
            );
        }
        for saved in &self.totals {
            let place = namespace.rest.restored(key(&saved.labels).as_bytes(), budget);
            for (at, bytes) in saved.bytes.iter().enumerate() {
                if let Some(Sum(bytes)) = bytes {
                    *namespace.rest.totals(place).bytes[at].get_or_insert(0) += bytes;
                }
            }
            for (at, saved) in saved.times.iter().enumerate() {
                let (Some(saved), true) = (saved, same_bounds) else { continue };
                let bounds = namespace.bounds.len();
                let times = namespace.rest.totals(place).times[at].get_or_insert_with(|| Box::new(Times::new(bounds)));
                times.counts.iter_mut().zip(&saved.counts).for_each(|(total, count)| *total += count);
                times.sum += saved.nanoseconds.0;
            }
        }
        same_bounds
    }

    /// Refuses contradictions: a state that no exporter can have written.
    pub(crate) fn check(&self) -> Result<()> {
        /// A bound that leaves room to count.
        const MAX: u128 = u64::MAX as u128 / 2;
        let is_value = |value: &String| value.len() <= MAX_VALUE && !value.contains(SEPARATOR);
        let fit = |values: &[String], names: &[String]| values.len() == names.len() && values.iter().all(is_value);
        let requests = self.requests.iter().all(|(values, _)| fit(values, &self.labels));
        ensure!(requests, "namespace {}: requests do not match the labels", self.name);
        let totals = self.totals.iter().all(|totals| fit(&totals.labels, &self.total_labels));
        ensure!(totals, "namespace {}: totals do not match the labels", self.name);
        let times = || self.totals.iter().flat_map(|totals| totals.times.iter().flatten());
        let buckets = self.bounds.len() + 1;
        ensure!(
            times().all(|times| times.counts.len() == buckets),
            "namespace {}: counts do not match the bounds",
            self.name
        );
        let counts = self.requests.iter().map(|(_, requests)| requests).chain(times().flat_map(|times| &times.counts));
        let count: u128 = counts.chain([&self.parse_errors]).map(|&count| u128::from(count)).sum();
        let bytes = self.totals.iter().flat_map(|totals| totals.bytes).flatten();
        let sum = bytes
            .chain(times().map(|times| times.nanoseconds))
            .try_fold(0_u128, |sum, Sum(more)| sum.checked_add(more));
        let countable = count <= MAX && sum.is_some_and(|sum| sum <= u128::MAX / 2);
        ensure!(countable, "namespace {}: the sum is more than an exporter can count", self.name);
        Ok(())
    }
}

fn key(values: &[String]) -> String {
    values.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::config::NginxlogConfig;
    use super::*;

    const CONFIG: &str = r#"namespace "a" {
      source_files = ["/log"]
      format = "$host \"$request\" $status $body_bytes_sent $request_time"
      relabel "host" { from = "host" }
      histogram_buckets = [1, 2]
    }"#;

    fn namespaces(config: &str) -> Namespaces {
        Namespaces::new(&NginxlogConfig::parse(config, true).unwrap(), 50).unwrap()
    }

    #[test]
    fn saved_counters_are_restored_and_other_settings_reset_them() {
        let mut before = namespaces(CONFIG);
        for line in ["b \"GET / HTTP/1.1\" 200 18446744073709551615 1.5", "b \"GET / HTTP/1.1\" 200 7 x", "x"] {
            before.count(0, line.as_bytes());
        }
        for host in 0..50 {
            before.count(0, format!("h{host} \"GET / HTTP/1.1\" 200 5 0.5").as_bytes());
        }
        assert!(before.overflowed() > 40);
        let text = serde_json::to_string(&before.saved()).unwrap();
        let saved: Vec<SavedNamespace> = serde_json::from_str(&text).unwrap();
        saved[0].check().unwrap();
        let mut after = namespaces(CONFIG);
        assert!(after.restore(&saved, before.overflowed()));
        assert_eq!((after.saved(), after.overflowed()), (saved.clone(), before.overflowed()));
        let mut buckets = namespaces(&CONFIG.replace("[1, 2]", "[1]"));
        assert!(!buckets.restore(&saved, 0));
        assert_eq!(buckets.saved()[0].requests, saved[0].requests);
        assert!(buckets.saved()[0].totals.iter().all(|totals| totals.times == [None, None, None]));
        let mut labels = namespaces(&CONFIG.replace("relabel \"host\"", "relabel \"server\""));
        assert!(!labels.restore(&saved, 0));
        assert!(labels.saved()[0].requests.is_empty());
        let mut other = namespaces(&CONFIG.replace("\"a\"", "\"b\""));
        assert!(other.restore(&saved, 0) && other.saved()[0].requests.is_empty());
    }

    #[test]
    fn a_contradiction_is_refused() {
        let mut namespaces = namespaces(CONFIG);
        namespaces.count(0, b"b \"GET / HTTP/1.1\" 200 7 0.1");
        let text = serde_json::to_string(&namespaces.saved()[0]).unwrap();
        for (from, to) in [
            (r#"["b","GET","200"],1"#, r#"["b","GET"],1"#),
            (r#"["b","GET","200"],1"#, r#"["b","GET","200"],18446744073709551615"#),
            (r#""counts":[1,0,0]"#, r#""counts":[1,0]"#),
            (r#"["b","GET","200"],"bytes""#, r#"["b\n","GET","200"],"bytes""#),
        ] {
            assert!(text.contains(from), "{text}");
            let saved: SavedNamespace = serde_json::from_str(&text.replace(from, to)).unwrap();
            assert!(saved.check().is_err(), "{to}");
        }
    }
}
