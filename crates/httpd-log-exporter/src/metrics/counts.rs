//! Counters of requests by virtual host, route, method and status.

use std::time::{Duration, UNIX_EPOCH};

use regex::bytes::Regex;

use crate::format::Format;
use crate::format::request::{CacheStatus, Details, Method, Number, Protocol, Request, StatusCode, Upstream, path};
use crate::format::timestamp::epoch_seconds;
use crate::metrics::combinations::Combinations;
use crate::metrics::histogram::DurationHistogram;
use crate::metrics::vhosts::Vhosts;

/// The counters of all logs together.
#[derive(Debug)]
pub(crate) struct RequestCounts {
    vhosts: Option<Vhosts>,
    routes: Vec<Route>,
    /// Indexed by virtual host, then route. The first ones are for the virtual host `other`, or for a format without
    /// virtual hosts.
    groups: Vec<LabelGroup>,
    combinations: Combinations,
    /// The maximum number of series in all families; additional virtual hosts become `other`.
    max_series: usize,
    /// The number of series of all virtual hosts but `other`.
    series: usize,
    /// Whether a line may lack any field of the format.
    has_optional_fields: bool,
    /// Requests whose virtual host became `other` because of the limit.
    pub(crate) overflowed: u64,
    pub(crate) has: ExportedFields,
    /// Empty histograms for a new group.
    empty: [Option<DurationHistogram>; LabelGroup::HISTOGRAMS],
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

/// A name for requests whose path matches a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) pattern: Regex,
}

/// The counters of one virtual host and route.
#[derive(Clone, Debug)]
pub(crate) struct LabelGroup {
    /// Indexed by the numbers of [`Combinations`].
    cells: Vec<RequestTotals>,
    /// Of requests, then by [`Upstream`]; `None` if the format lacks the duration.
    pub(crate) durations: [Option<DurationHistogram>; Self::HISTOGRAMS],
}

/// The counters of one label set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestTotals {
    pub(crate) requests: u64,
    /// More than 64 bits, since a line may claim 2^63 bytes.
    pub(crate) sent: u128,
    pub(crate) received: u128,
}

/// The number of series of a histogram in addition to its bounds: the bucket `+Inf`, the sum and the count.
const HISTOGRAM_SERIES: usize = 3;
/// The number of label sets of each route that are reserved for the virtual host `other`.
const OTHER_LABEL_SETS: usize = 4;

/// A label set and its counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) vhost: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
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
        let histogram = |wanted: bool| wanted.then(|| DurationHistogram::new(bounds));
        let empty = [
            histogram(format.has_duration()),
            histogram(format.has_upstream(Upstream::Connect)),
            histogram(format.has_upstream(Upstream::Header)),
            histogram(format.has_upstream(Upstream::Response)),
        ];
        let is_certain = !format.has_optional_fields;
        let mut counts = Self {
            vhosts: format.has_vhost().then(Vhosts::default),
            routes,
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
            protocols: [0; Protocol::NAMES.len()],
            caches: [0; CacheStatus::NAMES.len()],
        };
        counts.add_groups();
        counts
    }

    /// Counts a request; false if one of its numbers was wrong and is not counted.
    #[inline]
    pub(crate) fn add(&mut self, request: &Request<'_>) -> bool {
        let group = if self.routes.is_empty() { 0 } else { self.route(path(request.line)) };
        self.protocols[Protocol::from_request_line(request.line).index()] += 1;
        self.add_to(group, request, Number::Absent)
    }

    /// Counts a request with details; false if one of its numbers was wrong and is not counted.
    #[inline]
    pub(crate) fn add_detailed(&mut self, request: &Request<'_>, details: &Details<'_>) -> bool {
        if self.has_optional_fields {
            self.export_fields(request, details);
        }
        let route =
            if self.routes.is_empty() { 0 } else { self.route(details.path.unwrap_or_else(|| path(request.line))) };
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
        if let Some(trace) = details.trace {
            self.keep_trace(group, request, details, trace);
        }
        self.add_to(group, request, details.received) & valid
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
        let per_vhost = self.routes.len() + 1;
        if let Some(vhosts) = &mut self.vhosts
            && self.groups.iter().any(LabelGroup::has_requests)
        {
            let first = vhosts.insert(b"-") * per_vhost;
            self.add_groups();
            (0..per_vhost).for_each(|route| self.groups.swap(route, first + route));
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

    /// The index of the group of a virtual host and route, or of `other` if the limit of label sets is reached.
    #[inline]
    fn group(&mut self, vhost: Option<&[u8]>, route: usize, request: &Request<'_>) -> usize {
        let Some(vhosts) = self.vhosts.as_mut().filter(|_| self.has.vhost) else { return route };
        let vhost = vhost.unwrap_or(b"-");
        let per_vhost = self.routes.len() + 1;
        let number = self.combinations.number(request.method, request.status);
        if let Some(id) = vhosts.id(vhost) {
            let group = id * per_vhost + route;
            if self.groups[group].cells.get(number).is_some_and(|cell| cell.requests > 0) {
                return group;
            }
        }
        self.new_series(vhost, route)
    }

    /// Adds a label set.
    #[cold]
    fn new_series(&mut self, vhost: &[u8], route: usize) -> usize {
        let known = self.vhosts.as_mut().and_then(|vhosts| vhosts.id(vhost));
        if known == Some(Vhosts::OTHER) {
            return route;
        }
        let per_vhost = self.routes.len() + 1;
        let group = known.map(|id| &self.groups[id * per_vhost + route]);
        let new_series = self.series_of(group.is_none_or(|group| !group.has_requests()), 1);
        if self.series + new_series + per_vhost * self.series_of(true, OTHER_LABEL_SETS) > self.max_series {
            self.overflowed += 1;
            return route;
        }
        let Some(vhosts) = &mut self.vhosts else { return route };
        let id = known.unwrap_or_else(|| vhosts.insert(vhost));
        if id == Vhosts::OTHER {
            return route;
        }
        self.series += new_series;
        if known.is_none() {
            self.add_groups();
        }
        id * per_vhost + route
    }

    /// The number of series of label sets, with the histograms of their group if it is new.
    fn series_of(&self, new_group: bool, label_sets: usize) -> usize {
        let histograms = self.empty.iter().flatten().filter(|_| new_group);
        let durations = histograms.map(|durations| durations.bounds.len() + HISTOGRAM_SERIES).sum::<usize>();
        durations + label_sets * (1 + usize::from(self.has.sent) + usize::from(self.has.received))
    }

    /// Adds the groups of a new virtual host.
    fn add_groups(&mut self) {
        for _ in 0..=self.routes.len() {
            self.groups.push(LabelGroup { cells: Vec::new(), durations: self.empty.clone() });
        }
    }

    /// The index of the route of a path; the last one is `other`.
    fn route(&self, path: &[u8]) -> usize {
        self.routes.iter().position(|route| route.pattern.is_match(path)).unwrap_or(self.routes.len())
    }

    /// Whether series have the label `vhost`.
    pub(crate) fn has_vhosts(&self) -> bool {
        self.has.vhost
    }

    /// Whether series have the label `route`.
    pub(crate) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The exported groups, with virtual host and route: all without virtual hosts, else those with requests.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>, &LabelGroup)> {
        let per_vhost = self.routes.len() + 1;
        self.groups.iter().enumerate().filter_map(move |(index, group)| {
            let vhosts = self.vhosts.as_ref().filter(|_| self.has.vhost);
            let vhost = vhosts.map(|vhosts| vhosts.name(index / per_vhost));
            let route = match self.routes.get(index % per_vhost) {
                Some(route) => Some(route.name.as_str()),
                None => self.has_routes().then_some("other"),
            };
            let shown = vhost.is_none() || group.has_requests();
            shown.then_some((vhost, route, group))
        })
    }

    /// The exported series: those with requests, and without virtual hosts also the common ones.
    pub(crate) fn series(&self) -> impl Iterator<Item = Series<'_>> {
        const NOTHING: &RequestTotals = &RequestTotals { requests: 0, sent: 0, received: 0 };
        self.groups().flat_map(move |(vhost, route, group)| {
            let seen = self.combinations.seen.iter().enumerate();
            seen.filter_map(move |(number, &(method, status))| {
                let cell = group.cells.get(number).unwrap_or(NOTHING);
                let shown = cell.requests > 0 || (vhost.is_none() && number < Combinations::COMMON);
                shown.then_some(Series { vhost, route, method, status, cell })
            })
        })
    }

    /// Adds the saved counters of a label set.
    pub(crate) fn restore(
        &mut self,
        vhost: Option<&str>,
        route: Option<&str>,
        method: Method,
        status: StatusCode,
        cell: RequestTotals,
    ) {
        let group = self.restored_group(vhost, route);
        let number = self.combinations.number(method, status);
        let is_new = self.groups[group].cells.get(number).is_none_or(|cell| cell.requests == 0);
        if is_new && group > self.routes.len() {
            self.series += self.series_of(!self.groups[group].has_requests(), 1);
        }
        let cells = &mut self.groups[group].cells;
        if number >= cells.len() {
            cells.resize(number + 1, RequestTotals::default());
        }
        let totals = &mut cells[number];
        totals.requests += cell.requests;
        totals.sent += cell.sent;
        totals.received += cell.received;
    }

    /// The index of the group for saved counters. Routes that the flags no longer define become `other`.
    pub(crate) fn restored_group(&mut self, vhost: Option<&str>, route: Option<&str>) -> usize {
        let route =
            self.routes.iter().position(|known| Some(known.name.as_str()) == route).unwrap_or(self.routes.len());
        if self.has_optional_fields && !self.has.vhost && vhost.is_some_and(|vhost| vhost != "-") {
            self.add_vhost_label();
        }
        let room = self.series + self.series_of(true, 1) <= self.max_series;
        let vhosts = self.vhosts.as_mut().filter(|_| self.has.vhost);
        let Some((vhosts, vhost)) = vhosts.zip(vhost) else { return route };
        let known = vhosts.id(vhost.as_bytes());
        let id = known.unwrap_or_else(|| if room { vhosts.insert(vhost.as_bytes()) } else { Vhosts::OTHER });
        if known.is_none() && id != Vhosts::OTHER {
            self.add_groups();
        }
        id * (self.routes.len() + 1) + route
    }

    /// The histograms of a group.
    pub(crate) fn durations(&mut self, group: usize) -> &mut [Option<DurationHistogram>; LabelGroup::HISTOGRAMS] {
        &mut self.groups[group].durations
    }
}

/// Observes a duration; false if it is wrong.
#[inline]
fn observe(durations: Option<&mut DurationHistogram>, time: Number) -> bool {
    if let (Number::Value(nanoseconds), Some(durations)) = (time, durations) {
        durations.observe(nanoseconds);
    }
    time != Number::Wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    fn counts(format: &str, routes: &[(&str, &str)], max_series: usize) -> RequestCounts {
        let routes = routes
            .iter()
            .map(|(name, pattern)| Route { name: (*name).to_owned(), pattern: Regex::new(pattern).unwrap() })
            .collect();
        RequestCounts::new(&format.parse().unwrap(), &[1.0], routes, max_series)
    }

    fn request(bytes: Number, duration: Number) -> Request<'static> {
        let status = StatusCode::parse(b"200").unwrap();
        Request { method: Method::from_request_line(b"GET /"), status, bytes, duration, line: b"GET / HTTP/1.1" }
    }

    /// The series with requests: virtual host, route, number of requests.
    fn seen(counts: &RequestCounts) -> Vec<(String, String, u64)> {
        let seen = counts.series().filter(|series| series.cell.requests > 0);
        let label = |label: Option<&str>| label.unwrap_or_default().to_owned();
        seen.map(|series| (label(series.vhost), label(series.route), series.cell.requests)).collect()
    }

    #[test]
    fn sums_beyond_64_bits_neither_wrap_nor_panic() {
        let mut counts = counts("combined", &[], 10);
        for _ in 0..3 {
            assert!(counts.add(&request(Number::Value(u64::MAX), Number::Absent)));
        }
        let series = counts.series().find(|series| series.cell.requests > 0).unwrap();
        assert_eq!(*series.cell, RequestTotals { requests: 3, sent: 3 * u128::from(u64::MAX), received: 0 });
    }

    #[test]
    fn a_wrong_number_is_reported_and_its_request_is_counted() {
        let mut counts = counts("combined_time", &[], 10);
        assert!(!counts.add(&request(Number::Value(7), Number::Wrong)));
        assert!(!counts.add(&request(Number::Wrong, Number::Value(1))));
        assert!(counts.add(&request(Number::Value(7), Number::Absent)));
        let details = Details { received: Number::Wrong, ..Details::NONE };
        assert!(!counts.add_detailed(&request(Number::Value(1), Number::Absent), &details));
        let series = counts.series().find(|series| series.cell.requests > 0).unwrap();
        assert_eq!((series.method, series.status.index()), (Method::from_request_line(b"GET"), 200));
        assert_eq!(*series.cell, RequestTotals { requests: 4, sent: 15, received: 0 });
    }

    #[test]
    fn common_series_exist_from_the_start() {
        assert_eq!(counts("combined", &[], 10).series().count(), 36);
        assert_eq!(counts("combined", &[("api", "^/api/")], 10).series().count(), 72);
        assert_eq!(counts("vhost_combined", &[], 10).series().count(), 0);
    }

    #[test]
    fn a_request_has_the_first_route_that_its_path_matches() {
        let mut counts = counts("combined", &[("api", "^/api/"), ("static", r"\.(css|js)$")], 10);
        for line in ["GET /api/a.js HTTP/1.1", "GET /x.css?v=1 HTTP/1.1", "GET /?p=/api/ HTTP/1.1", "-"] {
            counts.add(&Request { line: line.as_bytes(), ..request(Number::Absent, Number::Absent) });
        }
        let expected = [("", "api", 1), ("", "static", 1), ("", "other", 2)];
        assert_eq!(seen(&counts), expected.map(|(vhost, route, n)| (vhost.to_owned(), route.to_owned(), n)));
    }

    #[test]
    fn virtual_hosts_beyond_the_limit_are_other() {
        let mut counts = counts("vhost_combined", &[], (3 + OTHER_LABEL_SETS) * 2);
        for round in 0..2 {
            for vhost in ["a", "b", "c", "d", "e"] {
                let details = Details { vhost: Some(vhost.as_bytes()), ..Details::NONE };
                assert!(counts.add_detailed(&request(Number::Absent, Number::Absent), &details), "{round}");
            }
        }
        let expected = [("other", 4), ("a", 2), ("b", 2), ("c", 2)];
        assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
        assert_eq!(counts.overflowed, 4);
        // the limit also applies to a new status of a known virtual host
        let status = StatusCode::parse(b"404").unwrap();
        let new = Request { status, ..request(Number::Absent, Number::Absent) };
        counts.add_detailed(&new, &Details { vhost: Some(b"a"), ..Details::NONE });
        assert_eq!((seen(&counts).len(), counts.overflowed), (5, 5));
    }

    #[test]
    fn restored_series_count_once_towards_the_limit() {
        let mut counts = counts("vhost_combined", &[], (3 + OTHER_LABEL_SETS) * 2);
        let cell = RequestTotals { requests: 1, sent: 0, received: 0 };
        for vhost in ["a", "b"] {
            counts.restore(Some(vhost), None, Method::from_request_line(b"GET"), StatusCode::NONE, cell);
            counts.restored_group(Some(vhost), None);
        }
        for vhost in ["c", "d"] {
            let details = Details { vhost: Some(vhost.as_bytes()), ..Details::NONE };
            counts.add_detailed(&request(Number::Absent, Number::Absent), &details);
        }
        let expected = [("other", 1), ("a", 1), ("b", 1), ("c", 1)];
        assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
        assert_eq!(counts.overflowed, 1);
    }

    #[test]
    fn an_invalid_virtual_host_is_other_and_a_missing_one_a_hyphen() {
        let mut counts = counts("vhost_combined", &[], 100);
        for vhost in [Some(&b"\xff"[..]), Some(b""), None, Some(b"-"), Some(b"other"), Some(&[b'x'; 300])] {
            counts.add_detailed(&request(Number::Absent, Number::Absent), &Details { vhost, ..Details::NONE });
        }
        let expected = [("other", 3), ("-", 3)];
        assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
        assert_eq!(counts.overflowed, 0);
    }
}
