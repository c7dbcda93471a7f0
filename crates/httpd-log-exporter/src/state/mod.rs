//! The state file: the position in every file, and everything that was counted up to these positions.

mod assignment;
mod check;
mod limits;
mod lock;
mod moment;
mod saved_closed;
mod saved_field;
pub(crate) mod saved_file;
mod saved_native;
mod saved_source;
mod state_writer;
pub(crate) mod text;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use exporter_common::config::small_file;
use serde::{Deserialize, Serialize};

use crate::format::request::{CacheStatus, Method, Protocol, StatusCode};
use crate::metrics::counts::{RequestCounts, RequestTotals, SavedLabels};
use crate::metrics::label::OTHER;
use crate::metrics::registry::Registry;
use crate::nginxlog::{Namespaces, SavedNamespace};
use crate::state::moment::Moment;
use crate::state::saved_closed::SavedClosed;
use crate::state::saved_field::SavedField;
use crate::state::saved_native::SavedNative;
use crate::tail::Tail;
#[cfg(fuzzing)]
use crate::tail::log_file::FileIdentity;

pub(crate) use self::saved_source::SavedSource;
pub(crate) use self::state_writer::{StateWriter, on_disk};

/// Everything that an exporter needs to continue where an earlier one stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedState {
    version: u32,
    sources: Vec<SavedSource>,
    series: Vec<SavedSeries>,
    durations: Vec<SavedDurations>,
    protocols: Vec<(String, u64)>,
    caches: Vec<(String, u64)>,
    overflowed: u64,
    /// Totals of the metrics of numeric fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<SavedField>,
    /// The names of the labels of flags, in the order of their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    /// Files that were read to their ends and closed.
    #[serde(default)]
    closed: Vec<SavedClosed>,
    /// The created timestamps of the counters and of the histograms; unknown in the files of earlier versions.
    #[serde(default)]
    since: Option<Moment>,
    #[serde(default)]
    durations_since: Option<Moment>,
    /// The counters of `--config.file`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<SavedNamespace>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedSeries {
    vhost: Option<String>,
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(with = "text")]
    method: Method,
    #[serde(with = "text")]
    status: StatusCode,
    requests: u64,
    #[serde(with = "text")]
    sent: u128,
    #[serde(with = "text")]
    received: u128,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedDurations {
    vhost: Option<String>,
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    /// Index of the histogram: of requests, or one of the upstream's.
    kind: usize,
    bounds: Vec<f64>,
    counts: Vec<u64>,
    #[serde(with = "text")]
    nanoseconds: u128,
    /// The same observations in exponential buckets; missing in the files of earlier versions.
    #[serde(default)]
    native: Option<SavedNative>,
}

/// Version 1 has no native buckets and no created timestamps, version 2 no labels, version 3 no dropped lines and no parts of
/// lines.
const VERSION: u32 = 4;

/// The size limit of a state file; thousands of logs need a few megabytes.
const MAX_SIZE: u64 = 1 << 30;

impl SavedState {
    /// Reads a state file. Returns `None` if it does not exist. A file with any error is refused as a whole, since a part
    /// of it would give wrong counters.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        let what = || format!("cannot read the state file {}", path.display());
        let mut text = Vec::new();
        let size = match small_file::read_into(&mut text, MAX_SIZE, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(what)?,
        };
        ensure!(size as u64 <= MAX_SIZE, "{}: larger than {} MiB", what(), MAX_SIZE >> 20);
        Self::parse(&text).with_context(what).map(Some)
    }

    /// Parses and checks the text of a state file.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let state: Self = serde_json::from_slice(text)?;
        ensure!((1..=VERSION).contains(&state.version), "unknown version {} (expected {VERSION})", state.version);
        state.check()?;
        Ok(state)
    }

    /// The current state.
    pub(crate) fn of(tails: &[Tail], registry: &Registry) -> Self {
        let counts = &registry.counts;
        let series = counts.series().filter(|series| *series.cell != RequestTotals::default());
        let groups = counts.groups().flat_map(|(labels, group)| {
            let durations = group.durations.iter().enumerate();
            durations.filter_map(move |(kind, durations)| Some((labels, kind, durations.as_ref()?)))
        });
        Self {
            version: VERSION,
            sources: registry.logs.iter().enumerate().map(|(index, log)| SavedSource::of(index, log, tails)).collect(),
            series: series
                .map(|series| SavedSeries {
                    vhost: series.labels.vhost.map(str::to_owned),
                    route: series.labels.route.map(str::to_owned),
                    labels: series.labels.fields().map(str::to_owned).collect(),
                    method: series.method,
                    status: series.status,
                    requests: series.cell.requests,
                    sent: series.cell.sent,
                    received: series.cell.received,
                })
                .collect(),
            durations: groups
                .map(|(labels, kind, durations)| SavedDurations {
                    vhost: labels.vhost.map(str::to_owned),
                    route: labels.route.map(str::to_owned),
                    labels: labels.fields().map(str::to_owned).collect(),
                    kind,
                    bounds: durations.bounds.clone(),
                    counts: durations.counts.clone(),
                    nanoseconds: durations.sum,
                    native: Some(SavedNative::of(&durations.native)),
                })
                .collect(),
            protocols: named(&Protocol::NAMES, &counts.protocols),
            caches: named(&CacheStatus::NAMES, &counts.caches),
            overflowed: counts.overflowed + registry.namespaces.as_ref().map_or(0, Namespaces::overflowed),
            fields: fields(counts),
            labels: counts.labels().iter().map(|name| (*name).to_owned()).collect(),
            closed: registry.ownership.closed().map(SavedClosed::of).collect(),
            since: registry.since.map(Moment),
            durations_since: registry.durations_since.map(Moment),
            namespaces: registry.namespaces.as_ref().map(Namespaces::saved).unwrap_or_default(),
        }
    }

    /// The state of a source, by the value of its flag.
    pub(crate) fn source(&self, source: &str) -> Option<&SavedSource> {
        self.sources.iter().find(|saved| saved.source == source)
    }

    /// Adds the counts of an earlier process to the counters.
    pub(crate) fn restore(&self, registry: &mut Registry) {
        let counts = &mut registry.counts;
        // the index of each current label among the saved ones
        let order: Vec<_> =
            counts.labels().iter().map(|name| self.labels.iter().position(|saved| saved == name)).collect();
        if order.len() != self.labels.len() || order.contains(&None) {
            let (saved, current) = (self.labels.join(", "), counts.labels().join(", "));
            tracing::warn!(
                saved,
                current,
                "the state file has other labels; the saved requests have other as new labels"
            );
        }
        for saved in &self.series {
            let cell = RequestTotals { requests: saved.requests, sent: saved.sent, received: saved.received };
            counts.restore(
                &saved_labels(&saved.vhost, &saved.route, &saved.labels, &order),
                saved.method,
                saved.status,
                cell,
            );
        }
        registry.since = self.since.map(|Moment(since)| since);
        // the count of a histogram is the number of observations in its classic and in its native buckets, so it is
        // restored with both or not at all
        if self.durations.iter().any(|saved| saved.native.is_none()) {
            tracing::warn!("the state file is of a version without native histograms; the histograms start at 0");
        } else if self.durations.iter().fold(true, |fit, saved| saved.restore(counts, &order) & fit) {
            registry.durations_since = self.durations_since.map(|Moment(since)| since);
        } else {
            tracing::warn!("the state file has durations with other buckets; the histograms start at 0");
        }
        if !self.fields.iter().fold(true, |fit, saved| saved.restore_to(counts, &order) & fit) {
            tracing::warn!(
                "the state file has metrics of fields with other buckets or of another kind; they start at 0"
            );
        }
        for (name, count) in &self.protocols {
            if let Some(at) = Protocol::NAMES.iter().position(|known| known == name) {
                counts.protocols[at] += count;
            }
        }
        for (name, count) in &self.caches {
            if let Some(at) = CacheStatus::NAMES.iter().position(|known| known == name) {
                counts.caches[at] += count;
            }
        }
        match &mut registry.namespaces {
            Some(namespaces) => {
                if !namespaces.restore(&self.namespaces, self.overflowed) {
                    registry.since = None;
                }
            }
            None => counts.overflowed += self.overflowed,
        }
        self.closed.iter().for_each(|closed| registry.ownership.remember(closed.file()));
        for log in &mut registry.logs {
            if let Some(saved) = self.source(&log.source) {
                saved.restore(log);
            }
        }
    }
}

#[cfg(fuzzing)]
impl SavedState {
    /// Total requests, bytes sent and bytes received.
    pub(crate) fn sums(&self) -> [u128; 3] {
        let requests = self.series.iter().map(|series| u128::from(series.requests)).sum();
        [requests, self.series.iter().map(|s| s.sent).sum(), self.series.iter().map(|s| s.received).sum()]
    }

    /// Gives the first file of the first source an identity and a path.
    pub(crate) fn put(&mut self, identity: FileIdentity, path: &Path) -> Option<&SavedSource> {
        let source = self.sources.first_mut()?;
        source.files.truncate(1);
        for file in &mut source.files {
            (file.device, file.inode) = (identity.device, identity.inode);
            (file.path, file.target) = (Some(path.to_owned()), None);
        }
        Some(source)
    }
}

/// Saved labels in the order of the current ones. A label that was not saved is `other`, as for routes.
fn saved_labels<'a>(
    vhost: &'a Option<String>,
    route: &'a Option<String>,
    labels: &'a [String],
    order: &[Option<usize>],
) -> SavedLabels<'a> {
    let value = |at: &Option<usize>| at.and_then(|at| labels.get(at)).map_or(OTHER, String::as_str);
    SavedLabels { vhost: vhost.as_deref(), route: route.as_deref(), fields: order.iter().map(value).collect() }
}

impl SavedDurations {
    fn restore(&self, counts: &mut RequestCounts, order: &[Option<usize>]) -> bool {
        let group = counts.restored_group(&saved_labels(&self.vhost, &self.route, &self.labels, order));
        match counts.durations(group).get_mut(self.kind) {
            Some(Some(durations)) => {
                let native = self.native.as_ref().map(SavedNative::histogram).unwrap_or_default();
                durations.restore(&self.bounds, &self.counts, self.nanoseconds, &native)
            }
            _ => true, // the format no longer has this time
        }
    }
}

/// The totals of the metrics of numeric fields that have values.
fn fields(counts: &RequestCounts) -> Vec<SavedField> {
    let totals = counts.groups().flat_map(|(labels, group)| {
        group.fields.iter().zip(counts.metrics()).filter_map(move |(total, metric)| {
            Some(SavedField {
                vhost: labels.vhost.map(str::to_owned),
                route: labels.route.map(str::to_owned),
                labels: labels.fields().map(str::to_owned).collect(),
                ..SavedField::of(metric.name, total)?
            })
        })
    });
    totals.collect()
}

impl SavedField {
    /// Adds the saved total, if its metric still exists; false if it is of another kind or has other bounds.
    fn restore_to(&self, counts: &mut RequestCounts, order: &[Option<usize>]) -> bool {
        let Some(at) = counts.metrics().iter().position(|metric| metric.name == self.name) else { return true };
        let group = counts.restored_group(&saved_labels(&self.vhost, &self.route, &self.labels, order));
        counts.fields(group).get_mut(at).is_none_or(|total| self.restore(total))
    }
}

/// A path with an ending after the file's name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn named(names: &[&str], counts: &[u64]) -> Vec<(String, u64)> {
    names.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, UNIX_EPOCH};

    use super::*;
    use crate::lines::Line;
    use crate::metrics::registry::SharedRegistry;

    pub(super) fn registry(format: &str, bounds: &[f64]) -> Registry {
        let format: crate::format::Format = format.parse().unwrap();
        let counts = RequestCounts::new(&format, bounds, vec!["api=^/api/".parse().unwrap()], 100);
        Registry::new(format, counts, ["access.log".to_owned()])
    }

    const FORMAT: &str = "$host $request_uri $request_method $status $bytes_sent $request_time $upstream_cache_status";

    #[test]
    fn counts_are_restored() {
        let mut before = registry(FORMAT, &[0.1]);
        for line in
            ["a /api/x GET 200 18446744073709551615 0.05 HIT", "a /api/y GET 200 9 0.05 -", "b / POST 404 5 2.5 -", "x"]
        {
            before.count_line(0, Line::Whole(line.as_bytes()));
        }
        before.logs[0].last_time = Some(7.5);
        (before.since, before.durations_since) = (Some(UNIX_EPOCH), Some(UNIX_EPOCH));
        let state = SavedState::of(&[], &before);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        state_writer::write(&path, &state).unwrap();
        let loaded = SavedState::load(&path).unwrap().unwrap();
        assert_eq!(loaded, state);
        let mut after = registry(FORMAT, &[0.1]);
        loaded.restore(&mut after);
        assert_eq!(SavedState::of(&[], &after), state);
        // other buckets: only the histograms restart
        let mut other = registry(FORMAT, &[0.2]);
        loaded.restore(&mut other);
        assert_eq!(SavedState::of(&[], &other).series, state.series);
        assert!(other.since == before.since && other.durations_since > before.durations_since);
    }

    #[test]
    fn a_state_of_a_version_without_native_histograms_is_restored_but_for_its_histograms() {
        const OLD: &str = include_str!("../../tests/state/without-native-histograms.json");
        let state = SavedState::parse(OLD.as_bytes()).unwrap();
        let mut registry = registry(FORMAT, &[0.1]);
        state.restore(&mut registry);
        let restored = SavedState::of(&[], &registry);
        assert_eq!((restored.series, restored.sources[0].lines), (state.series, [3, 1, 0, 0]));
        assert!(restored.durations.iter().all(|durations| durations.counts == [0, 0]));
        assert!(restored.since.is_none() && restored.durations_since.is_some());
    }

    #[test]
    fn an_invalid_state_is_refused_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(SavedState::load(&path).unwrap().is_none());
        let state = serde_json::to_string(&SavedState::of(&[], &registry("common", &[]))).unwrap();
        for text in ["", "{}", &state[..state.len() / 2], &state.replace("\"version\":4", "\"version\":9"), "\0\0\0"] {
            std::fs::write(&path, text).unwrap();
            assert!(SavedState::load(&path).is_err(), "{text}");
        }
        std::fs::write(&path, &state).unwrap();
        assert!(SavedState::load(&path).unwrap().is_some());
    }

    /// Breaks one value after another in the state of a real log.
    #[test]
    fn a_state_with_any_wrong_value_is_refused_with_its_position() {
        const LINE: &str = "a /api/x GET 200 17 0.05 HIT\n";
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        std::fs::write(&log, LINE).unwrap();
        let shared = SharedRegistry::new(registry(FORMAT, &[0.1]));
        let log_paths = crate::tail::log_paths::LogPaths::parse(log.to_str().unwrap());
        let mut tail = Tail::open(0, log_paths, crate::tail::StartAt::Beginning, &shared, Instant::now());
        tail.pass(&shared, &mut [0; 4096], Instant::now());
        let state = serde_json::to_string(&SavedState::of(&[tail], &shared.lock())).unwrap();
        assert!(SavedState::parse(state.as_bytes()).is_ok(), "{state}");
        let last_look = &state[state.find("\"last_look\":").unwrap()..state.find(",\"files\"").unwrap()];
        let head = &format!("\"head\":\"{}\"", text::StateText::write(&LINE.as_bytes().to_vec()));
        for (right, wrong, expected) in [
            ("\"sent\":\"17\"", "\"sent\":\"17x\"", "\"17x\" is not a whole number at line 1 column "),
            ("\"received\":\"0\"", "\"received\":\"-1\"", "\"-1\" is not a whole number at line 1 column "),
            ("\"status\":\"200\"", "\"status\":\"2\\u00000\"", "\"2\\00\" is not a status at line 1 column "),
            ("\"method\":\"GET\"", "\"method\":\"GXT\"", "\"GXT\" is not a method at line 1 column "),
            ("\"nanoseconds\":\"50000000\"", "\"nanoseconds\":\"\"", "\"\" is not a whole number at line 1 column "),
            (last_look, "\"last_look\":-5", "-5 is not a time in seconds since the epoch at line 1 column "),
            (last_look, "\"last_look\":1e19", "is not a time in seconds since the epoch at line 1 column "),
            (head, "\"head\":\"4\"", "\"4\" is not a string of hexadecimal bytes at line 1 column "),
            (head, "\"head\":\"\"", "sources[0]: files[0]: 29 bytes were read, but head has none"),
            ("\"offset\":29", "\"offset\":28", "sources[0]: files[0]: head has 29 bytes, but only 28 were read"),
            ("\"waiting\":0", "\"waiting\":30", "sources[0]: files[0]: waiting has 30 bytes, but only 29 were read"),
            (
                "\"offset\":29",
                "\"offset\":9223372036854775808",
                "files[0]: offset 9223372036854775808 is beyond the end",
            ),
            ("\"rotations\":0", "\"rotations\":9223372036854775807", "sources[0]: 9223372036854775837 is more than"),
            (
                "\"requests\":1",
                "\"requests\":18446744073709551615",
                "series: requests: 18446744073709551615 is more than",
            ),
            ("\"sent\":\"17\"", &format!("\"sent\":\"{}\"", u128::MAX), "series: sent: the sum is more than"),
            ("\"requests\":1", "\"requests\":0", "series[0]: 17 bytes sent and 0 received, but no request"),
            ("\"kind\":0", "\"kind\":4", "durations[0]: unknown kind 4"),
            ("\"bounds\":[0.1]", "\"bounds\":[]", "durations[0]: 2 counts do not match 0 bounds"),
            ("\"zero\":0", "\"zero\":1", "durations[0]: 2 observations in native buckets, but 1 in the others"),
            ("\"zero\":0", "\"zero\":18446744073709551615", "durations[0]: 18446744073709551616 is more than"),
            ("\"HTTP/1.1\"", "\"HTTP/1.2\"", "protocols: unknown name \"HTTP/1.2\""),
            ("\"HIT\"", "\"HAT\"", "caches: unknown name \"HAT\""),
        ] {
            let broken = state.replacen(right, wrong, 1);
            assert_ne!(broken, state, "{right}");
            let error = format!("{:#}", SavedState::parse(broken.as_bytes()).unwrap_err());
            assert!(error.contains(expected) && !error.contains('\n'), "{wrong}: {error}");
        }
    }
}
