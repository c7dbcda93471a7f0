//! Counters of requests by virtual host, labels of flags, route, method and status.

mod restore;
#[cfg(test)]
mod tests;

use std::time::{Duration, UNIX_EPOCH};

use crate::format::Format;
use crate::format::request::{CacheStatus, Details, Method, Number, Protocol, Request, StatusCode, Upstream, path};
use crate::format::timestamp::epoch_seconds;
use crate::metrics::combinations::Combinations;
use crate::metrics::field_metric::FieldMetric;
use crate::metrics::field_total::{FieldTotal, NamedMetric};
use crate::metrics::histogram::ValueHistogram;
use crate::metrics::label::{OTHER, SEPARATOR};
use crate::metrics::label_sets::{self, LabelSets, MAX_VHOST, normalized};
use crate::metrics::route::{Route, Routes};
use crate::metrics::rules::Rules;

pub(crate) use self::restore::SavedLabels;

/// The counters of all logs together.
#[derive(Debug)]
pub(crate) struct RequestCounts {
    /// The virtual hosts and the values of the labels; `None` without both.
    sets: Option<LabelSets>,
    /// The names of the labels that flags define.
    labels: Vec<&'static str>,
    /// The label set of the current line, if flags define labels.
    key: Vec<u8>,
    format_has_vhost: bool,
    routes: Routes,
    /// Indexed by label set, then route. The first ones are for the label set `other`, or for all requests without label
    /// sets.
    groups: Vec<LabelGroup>,
    combinations: Combinations,
    /// The maximum number of series in all families; additional label sets become `other`.
    max_series: usize,
    /// The number of series of all label sets but `other`.
    series: usize,
    /// Whether a line may lack any field of the format.
    has_optional_fields: bool,
    /// Requests whose label set became `other` because of the limit.
    pub(crate) overflowed: u64,
    pub(crate) has: ExportedFields,
    /// Empty histograms for a new group.
    empty: [Option<ValueHistogram>; LabelGroup::HISTOGRAMS],
    /// Empty totals for a new group.
    empty_fields: Vec<FieldTotal>,
    /// The metrics of numeric fields.
    metrics: Vec<NamedMetric>,
    /// The values of the current line, one for each metric.
    pub(crate) values: Vec<Number>,
    pub(crate) protocols: [u64; Protocol::NAMES.len()],
    pub(crate) caches: [u64; CacheStatus::NAMES.len()],
}

/// The fields whose metrics are exported: every line of the format has them, or a line had them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExportedFields {
    pub(crate) vhost: bool,
    /// Of requests, then by [`Upstream`].
    pub(crate) durations: [bool; LabelGroup::HISTOGRAMS],
    pub(crate) sent: bool,
    pub(crate) received: bool,
    pub(crate) cache: bool,
    pub(crate) protocol: bool,
}

/// The counters of one label set and route.
#[derive(Clone, Debug)]
pub(crate) struct LabelGroup {
    /// Indexed by the numbers of [`Combinations`].
    cells: Vec<RequestTotals>,
    /// Of requests, then by [`Upstream`]; `None` if the format lacks the duration.
    pub(crate) durations: [Option<ValueHistogram>; Self::HISTOGRAMS],
    /// In the order of [`RequestCounts::metrics`].
    pub(crate) fields: Vec<FieldTotal>,
}

/// The counters of one label set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestTotals {
    pub(crate) requests: u64,
    /// More than 64 bits, since a line may claim 2^63 bytes.
    pub(crate) sent: u128,
    pub(crate) received: u128,
}

/// The number of pairs of method and status of each route that are reserved for the label set `other`.
const OTHER_PAIRS: usize = 4;

/// The values of the labels that depend on the format and the flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionalLabels<'a> {
    pub(crate) vhost: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
    /// The values of `--metrics.label` with separators between them.
    fields: Option<&'a str>,
}

impl<'a> OptionalLabels<'a> {
    /// The values of `--metrics.label`.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.into_iter().flat_map(|fields| fields.split(SEPARATOR))
    }
}

/// A label set and its counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) labels: OptionalLabels<'a>,
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    pub(crate) cell: &'a RequestTotals,
}

impl LabelGroup {
    /// The number of possible histograms.
    pub(crate) const HISTOGRAMS: usize = 4;

    fn has_requests(&self) -> bool {
        self.cells.iter().any(|cell| cell.requests > 0)
    }
}

impl RequestCounts {
    /// Creates the counters for the fields of a format. `bounds` are the upper bounds of its histograms in seconds.
    pub(crate) fn new(format: &Format, bounds: &[f64], routes: Vec<Route>, max_series: usize) -> Self {
        let histogram = |wanted: bool| wanted.then(|| ValueHistogram::new(bounds));
        let empty = [
            histogram(format.has_duration()),
            histogram(format.has_upstream(Upstream::Connect)),
            histogram(format.has_upstream(Upstream::Header)),
            histogram(format.has_upstream(Upstream::Response)),
        ];
        let is_certain = !format.has_optional_fields;
        let mut counts = Self {
            sets: format.has_vhost().then(|| LabelSets::new(1)),
            labels: Vec::new(),
            key: Vec::new(),
            format_has_vhost: format.has_vhost(),
            routes: Routes::new(routes),
            groups: Vec::new(),
            combinations: Combinations::new(),
            max_series,
            series: 0,
            has_optional_fields: format.has_optional_fields,
            overflowed: 0,
            has: ExportedFields {
                vhost: format.has_vhost() && is_certain,
                durations: empty.each_ref().map(|durations| durations.is_some() && is_certain),
                sent: format.has_sent() && is_certain,
                received: format.has_received() && is_certain,
                cache: format.has_cache() && is_certain,
                protocol: format.has_protocol() && is_certain,
            },
            empty,
            empty_fields: Vec::new(),
            metrics: Vec::new(),
            values: Vec::new(),
            protocols: [0; Protocol::NAMES.len()],
            caches: [0; CacheStatus::NAMES.len()],
        };
        counts.add_groups();
        counts
    }

    /// Creates the counters for the fields of a format and rules.
    pub(crate) fn of_rules(format: &Format, bounds: &[f64], rules: Rules, max_series: usize) -> Self {
        let metrics = rules.metrics();
        Self::new(format, bounds, rules.routes, max_series)
            // metric families need names that live as long as the program
            .with_labels(rules.labels.into_iter().map(|label| &*label.name.leak()).collect())
            .with_metrics(&metrics)
    }

    /// The same counters with labels that flags define.
    pub(crate) fn with_labels(self, labels: Vec<&'static str>) -> Self {
        let values = labels.len() + usize::from(self.format_has_vhost);
        let sets = if labels.is_empty() { self.sets } else { Some(LabelSets::new(values)) };
        Self { sets, labels, ..self }
    }

    /// The same counters with metrics of numeric fields.
    pub(crate) fn with_metrics(mut self, metrics: &[FieldMetric]) -> Self {
        self.metrics = metrics.iter().map(NamedMetric::new).collect();
        self.empty_fields = metrics.iter().map(FieldTotal::new).collect();
        self.groups.iter_mut().for_each(|group| group.fields = self.empty_fields.clone());
        self
    }

    /// Counts a request; false if one of its numbers was wrong and is not counted.
    #[inline]
    pub(crate) fn add(&mut self, request: &Request<'_>) -> bool {
        let group = if self.routes.is_empty() { 0 } else { self.routes.index(path(request.line)) };
        self.protocols[Protocol::from_request_line(request.line).index()] += 1;
        self.add_to(group, request, Number::Absent)
    }

    /// Counts a request with details; false if one of its numbers was wrong and is not counted.
    #[inline]
    pub(crate) fn add_detailed(&mut self, request: &Request<'_>, details: &Details<'_>) -> bool {
        if self.has_optional_fields {
            self.export_fields(request, details);
        }
        let route = if self.routes.is_empty() {
            0
        } else {
            self.routes.index(details.path.unwrap_or_else(|| path(request.line)))
        };
        if self.has.protocol {
            let protocol = details.protocol.unwrap_or_else(|| Protocol::from_request_line(request.line));
            self.protocols[protocol.index()] += 1;
        }
        if self.has.cache {
            self.caches[details.cache.unwrap_or(CacheStatus::NONE).index()] += 1;
        }
        let group = self.group(details.vhost, route, request);
        let mut valid = true;
        for (durations, time) in self.groups[group].durations[1..].iter_mut().zip(details.upstream) {
            valid &= observe(durations.as_mut(), time);
        }
        for (total, value) in self.groups[group].fields.iter_mut().zip(&self.values) {
            match value {
                Number::Value(value) => total.observe(*value),
                Number::Absent => {}
                Number::Wrong => valid = false,
            }
        }
        if let Some(trace) = details.trace {
            self.keep_trace(group, request, details, trace);
        }
        self.add_to(group, request, details.received) & valid
    }

    /// Counts a request with labels. `append` appends their values, each after a separator.
    pub(crate) fn add_labeled(
        &mut self,
        request: &Request<'_>,
        details: &Details<'_>,
        append: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        self.key.clear();
        append(&mut self.key);
        if self.format_has_vhost {
            let is_other = |values: &[u8]| {
                values.split(|&byte| byte == SEPARATOR as u8).skip(1).all(|value| value == OTHER.as_bytes())
            };
            let mut buffer = [0; MAX_VHOST];
            let vhost = match details.vhost {
                Some(vhost) => normalized(vhost, &mut buffer),
                // without the label `vhost`, this set is the same as the one for all that is beyond the limit
                None if !self.has.vhost && is_other(&self.key) => OTHER.as_bytes(),
                None => b"-",
            };
            let is_valid = vhost.len() <= MAX_VHOST && std::str::from_utf8(vhost).is_ok();
            self.key.splice(..0, if is_valid { vhost } else { OTHER.as_bytes() }.iter().copied());
        } else if !self.key.is_empty() {
            self.key.remove(0); // the separator before the first value
        }
        self.add_detailed(request, details)
    }

    /// Keeps the trace of a request for the exemplars of its durations.
    fn keep_trace(&mut self, group: usize, request: &Request<'_>, details: &Details<'_>, trace: &str) {
        let time = details.time.and_then(epoch_seconds).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let time = time.and_then(|since| UNIX_EPOCH.checked_add(since));
        let times = std::iter::once(request.duration).chain(details.upstream);
        for (durations, duration) in self.groups[group].durations.iter_mut().zip(times) {
            if let (Some(durations), Number::Value(nanoseconds)) = (durations, duration) {
                durations.keep_trace(nanoseconds, trace, time);
            }
        }
    }

    /// Exports the fields that a line has from now on.
    fn export_fields(&mut self, request: &Request<'_>, details: &Details<'_>) {
        let [connect, header, response] = details.upstream;
        let durations = [request.duration, connect, header, response];
        for (exported, duration) in self.has.durations.iter_mut().zip(durations) {
            *exported |= duration != Number::Absent;
        }
        self.has.sent |= request.bytes != Number::Absent;
        self.has.received |= details.received != Number::Absent;
        self.has.cache |= details.cache.is_some();
        self.has.protocol |= details.protocol.is_some() || !request.line.is_empty();
        if details.vhost.is_some() && !self.has.vhost {
            self.add_vhost_label();
        }
    }

    /// Adds the label `vhost`. The requests that were counted without it had no virtual host.
    #[cold]
    fn add_vhost_label(&mut self) {
        self.has.vhost = true;
        let per_set = self.routes.len() + 1;
        if let Some(sets) = &mut self.sets
            && self.groups[..per_set].iter().any(LabelGroup::has_requests)
        {
            let first = sets.insert(format!("-{}", "\nother".repeat(self.labels.len())).as_bytes()) * per_set;
            self.add_groups();
            (0..per_set).for_each(|route| self.groups.swap(route, first + route));
        }
    }

    #[inline]
    fn add_to(&mut self, group: usize, request: &Request<'_>, received: Number) -> bool {
        let number = self.combinations.number(request.method, request.status);
        let group = &mut self.groups[group];
        if number >= group.cells.len() {
            group.cells.resize(number + 1, RequestTotals::default());
        }
        let cell = &mut group.cells[number];
        cell.requests += 1;
        if let Number::Value(bytes) = request.bytes {
            cell.sent += u128::from(bytes);
        }
        if let Number::Value(bytes) = received {
            cell.received += u128::from(bytes);
        }
        observe(group.durations[0].as_mut(), request.duration)
            & (request.bytes != Number::Wrong)
            & (received != Number::Wrong)
    }

    /// The index of the group of a label set and route, or of `other` if the limit of series is reached.
    #[inline]
    fn group(&mut self, vhost: Option<&[u8]>, route: usize, request: &Request<'_>) -> usize {
        if !self.has_label_sets() {
            return route;
        }
        if self.labels.is_empty() {
            let mut buffer = [0; MAX_VHOST];
            return self.group_of_set(normalized(vhost.unwrap_or(b"-"), &mut buffer), route, request);
        }
        let key = std::mem::take(&mut self.key);
        let group = self.group_of_set(&key, route, request);
        self.key = key;
        group
    }

    #[inline]
    fn group_of_set(&mut self, key: &[u8], route: usize, request: &Request<'_>) -> usize {
        let per_set = self.routes.len() + 1;
        let number = self.combinations.number(request.method, request.status);
        if let Some(id) = self.sets.as_mut().and_then(|sets| sets.id(key)) {
            let group = id * per_set + route;
            if self.groups[group].cells.get(number).is_some_and(|cell| cell.requests > 0) {
                return group;
            }
        }
        self.new_series(key, route)
    }

    /// Adds a series.
    #[cold]
    fn new_series(&mut self, key: &[u8], route: usize) -> usize {
        let known = self.sets.as_mut().and_then(|sets| sets.id(key));
        let per_set = self.routes.len() + 1;
        let group = known.map(|id| &self.groups[id * per_set + route]);
        let new_series = self.series_of(group.is_none_or(|group| !group.has_requests()), 1);
        if self.series + new_series + per_set * self.series_of(true, OTHER_PAIRS) > self.max_series {
            label_sets::warn_of_overflow(self.max_series);
            self.overflowed += 1;
            return route;
        }
        let Some(sets) = &mut self.sets else { return route };
        let id = known.unwrap_or_else(|| sets.insert(key));
        if id == LabelSets::OTHER {
            return route;
        }
        self.series += new_series;
        if known.is_none() {
            self.add_groups();
        }
        id * per_set + route
    }

    /// The number of series of label sets, with the histograms of their group if it is new.
    fn series_of(&self, new_group: bool, label_sets: usize) -> usize {
        let histograms = self.empty.iter().flatten().filter(|_| new_group);
        let durations = histograms.map(ValueHistogram::series).sum::<usize>();
        let fields = self.empty_fields.iter().filter(|_| new_group).map(FieldTotal::series).sum::<usize>();
        durations + fields + label_sets * (1 + usize::from(self.has.sent) + usize::from(self.has.received))
    }

    /// Adds the groups of a new label set.
    fn add_groups(&mut self) {
        for _ in 0..=self.routes.len() {
            self.groups.push(LabelGroup {
                cells: Vec::new(),
                durations: self.empty.clone(),
                fields: self.empty_fields.clone(),
            });
        }
    }

    /// Whether series have the label `vhost`.
    pub(crate) fn has_vhosts(&self) -> bool {
        self.has.vhost
    }

    /// The names of the labels that flags define.
    pub(crate) fn labels(&self) -> &[&'static str] {
        &self.labels
    }

    /// The metrics of numeric fields.
    pub(crate) fn metrics(&self) -> &[NamedMetric] {
        &self.metrics
    }

    /// The totals of the metrics of numeric fields in a group.
    pub(crate) fn fields(&mut self, group: usize) -> &mut [FieldTotal] {
        &mut self.groups[group].fields
    }

    /// Whether the values of some labels become `other` beyond the limit of series.
    #[inline]
    pub(crate) fn has_label_sets(&self) -> bool {
        self.has.vhost || !self.labels.is_empty()
    }

    /// Whether series have the label `route`.
    pub(crate) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The exported groups with their labels: all without label sets, else those with requests.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (OptionalLabels<'_>, &LabelGroup)> {
        let per_set = self.routes.len() + 1;
        self.groups.iter().enumerate().filter_map(move |(index, group)| {
            let route = self.has_routes().then(|| self.routes.name(index % per_set));
            let shown = !self.has_label_sets() || group.has_requests();
            shown.then(|| (OptionalLabels { route, ..self.label_set(index / per_set) }, group))
        })
    }

    /// The labels of a set.
    fn label_set(&self, id: usize) -> OptionalLabels<'_> {
        let key = self.sets.as_ref().map(|sets| sets.key(id));
        let (vhost, fields) = match key.filter(|_| self.format_has_vhost) {
            Some(key) => key.split_once(SEPARATOR).map_or((Some(key), None), |(vhost, rest)| (Some(vhost), Some(rest))),
            None => (None, key),
        };
        OptionalLabels { vhost: vhost.filter(|_| self.has.vhost), route: None, fields }
    }

    /// The exported series: those with requests, and without label sets also the common ones.
    pub(crate) fn series(&self) -> impl Iterator<Item = Series<'_>> {
        const NOTHING: &RequestTotals = &RequestTotals { requests: 0, sent: 0, received: 0 };
        self.groups().flat_map(move |(labels, group)| {
            let seen = self.combinations.seen.iter().enumerate();
            seen.filter_map(move |(number, &(method, status))| {
                let cell = group.cells.get(number).unwrap_or(NOTHING);
                let shown = cell.requests > 0 || (!self.has_label_sets() && number < Combinations::COMMON);
                shown.then_some(Series { labels, method, status, cell })
            })
        })
    }

    /// The histograms of a group.
    pub(crate) fn durations(&mut self, group: usize) -> &mut [Option<ValueHistogram>; LabelGroup::HISTOGRAMS] {
        &mut self.groups[group].durations
    }
}

/// Observes a duration; false if it is wrong.
#[inline]
fn observe(durations: Option<&mut ValueHistogram>, time: Number) -> bool {
    if let (Number::Value(nanoseconds), Some(durations)) = (time, durations) {
        durations.observe(nanoseconds);
    }
    time != Number::Wrong
}
