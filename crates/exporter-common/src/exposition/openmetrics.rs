//! Encodes OpenMetrics 1.0.0 and 0.0.1.
//!
//! Source: the OpenMetrics specification 1.0, and the output of client_golang.

use std::collections::HashSet;

use super::encoder::Encode;
use super::family::{Family, Kind};
use super::merge::{Exposition, Group};
use super::sample_format::{Dialect, comment, created, escape, sample};

/// OpenMetrics, with the names of the families of one exposition.
pub(crate) struct OpenMetrics {
    /// For each group, the length of its name without the suffix, and its type.
    headers: Vec<(usize, &'static str)>,
    /// Whether to write created timestamps.
    with_created: bool,
    /// The length of the name of the current group, if its series may have created timestamps.
    countable: Option<usize>,
}

impl OpenMetrics {
    pub(crate) fn new(exposition: &Exposition, with_created: bool) -> Self {
        let names = Names::of(exposition);
        let headers = exposition.groups.iter().map(|group| names.header(group.head())).collect();
        Self { headers, with_created, countable: None }
    }
}

impl Encode for OpenMetrics {
    fn header(&mut self, index: usize, group: &Group, out: &mut Vec<u8>) {
        let (length, kind) = self.headers[index];
        self.countable = matches!(kind, "counter" | "histogram" | "summary").then_some(length);
        header(group.head(), &group.head().name()[..length], kind, out);
    }

    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>) {
        sample(Dialect::OpenMetrics, family, series, out);
        if let (true, Some(length), Some(time)) = (self.with_created, self.countable, family.created(series)) {
            created(family, &family.name()[..length], series, time, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"# EOF\n");
    }
}

/// The names that families have or reserve, to shorten the names of counters and infos without a clash.
struct Names<'a> {
    whole: HashSet<&'a str>,
    /// The samples of histograms and summaries.
    reserved: HashSet<String>,
    /// The short names of counters, which take precedence over infos.
    counters: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(exposition: &'a Exposition) -> Self {
        let families = || exposition.groups.iter().map(|group| group.head());
        let whole = families().map(Family::name).collect();
        let complex = families().filter(|family| matches!(family.kind(), Kind::Histogram | Kind::Summary));
        let suffixes = ["_count", "_sum", "_bucket", "_created"];
        let reserved = complex.flat_map(|family| suffixes.map(|suffix| format!("{}{suffix}", family.name()))).collect();
        let mut names = Self { whole, reserved, counters: HashSet::new() };
        for family in families().filter(|family| family.kind() == Kind::Counter) {
            if let Some(name) = family.name().strip_suffix("_total").filter(|name| names.is_free_for_counter(name)) {
                names.counters.insert(name);
            }
        }
        names
    }

    fn is_taken(&self, name: &str) -> bool {
        name.is_empty() || self.whole.contains(name) || self.reserved.contains(name)
    }

    /// Whether a counter can have this short name, which also reserves `_created`.
    fn is_free_for_counter(&self, name: &str) -> bool {
        let created = format!("{name}_created");
        let of_counter = name.strip_suffix("_created").is_some_and(|counter| self.counters.contains(counter));
        !self.is_taken(name) && !self.is_taken(&created) && !self.counters.contains(created.as_str()) && !of_counter
    }

    /// The name of a counter without its suffix; `None` if it clashes.
    fn counter<'f>(&self, family: &'f Family) -> Option<&'f str> {
        family.name().strip_suffix("_total").filter(|name| self.counters.contains(name))
    }

    /// The name of an info without its suffix; `None` if it clashes.
    fn info<'f>(&self, family: &'f Family) -> Option<&'f str> {
        let name = family.name().strip_suffix("_info")?;
        let created = name.strip_suffix("_created").is_some_and(|counter| self.counters.contains(counter));
        (!self.is_taken(name) && !self.counters.contains(name) && !created).then_some(name)
    }

    /// The length of a family's name without a suffix, and its type. A counter or info that lacks the suffix, or whose
    /// short name clashes with another family, keeps its name with another type.
    fn header(&self, family: &Family) -> (usize, &'static str) {
        let whole = family.name();
        let (name, kind) = match family.kind() {
            Kind::Counter => self.counter(family).map_or((whole, "unknown"), |name| (name, "counter")),
            Kind::Info => self.info(family).map_or((whole, "gauge"), |name| (name, "info")),
            Kind::Gauge => (whole, "gauge"),
            Kind::StateSet => (whole, "stateset"),
            Kind::Histogram => (whole, "histogram"),
            Kind::Summary => (whole, "summary"),
            Kind::Unknown => (whole, "unknown"),
        };
        (name.len(), kind)
    }
}

fn header(family: &Family, name: &str, kind: &str, out: &mut Vec<u8>) {
    if !family.help().is_empty() {
        comment(family, "HELP", name, |out| escape(family.help(), true, out), out);
    }
    comment(family, "TYPE", name, |out| out.extend_from_slice(kind.as_bytes()), out);
    if let Some(unit) = unit(name)
        && !matches!(family.kind(), Kind::Info | Kind::StateSet)
    {
        comment(family, "UNIT", name, |out| out.extend_from_slice(unit.as_bytes()), out);
    }
}

/// The unit at the end of a name.
fn unit(name: &str) -> Option<&'static str> {
    const UNITS: &[&str] =
        &["seconds", "bytes", "ratio", "hertz", "celsius", "volts", "amperes", "joules", "grams", "meters"];
    UNITS.iter().copied().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_') && rest.len() > 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exposition::encoder::encode;
    use crate::exposition::family::{Exemplar, Histogram, Summary};

    fn text(families: Vec<Family>) -> String {
        let mut out = Vec::new();
        let exposition = Exposition::merge(families.into_iter().map(Arc::new).collect());
        encode(&exposition, Box::new(OpenMetrics::new(&exposition, true)), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn families_are_named_without_the_suffix_of_their_samples() {
        let families = vec![
            Family::counter("a_seconds_total", "Say \"a\".", &["mode"]).with(&["user"], 2.0),
            Family::info("b_info", "", &["version"]).with(&["1"], 1.0),
            Family::state_set("c", "", &["on", "off"], "on"),
        ];
        assert_eq!(
            text(families),
            "# HELP a_seconds Say \\\"a\\\".\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
             a_seconds_total{mode=\"user\"} 2.0\n# TYPE b info\nb_info{version=\"1\"} 1.0\n\
             # TYPE c stateset\nc{c=\"off\"} 0.0\nc{c=\"on\"} 1.0\n# EOF\n"
        );
    }

    #[test]
    fn a_counter_that_lacks_the_suffix_or_would_take_a_name_is_unknown() {
        let families = vec![
            Family::counter("a", "", &[]).value(1.0),
            Family::counter("b_total", "", &[]).value(1.0),
            Family::gauge("b", "", &[]).value(1.0),
        ];
        assert_eq!(
            text(families),
            "# TYPE a unknown\na 1.0\n# TYPE b gauge\nb 1.0\n# TYPE b_total unknown\nb_total 1.0\n# EOF\n"
        );
    }

    #[cfg(feature = "testing")]
    #[test]
    fn no_two_families_have_the_same_name_whatever_their_suffixes() {
        let histogram = || Histogram::new([(1.0, 3)], Some(2.0), 4);
        let info = |name: &'static str| Family::info(name, "", &["version"]).with(&["1"], 1.0);
        let families = vec![
            Family::counter("job_total", "", &[]).value(1.0),
            info("job_info"),
            info("job_created_info"),
            Family::counter("task_created_total", "", &[]).value(1.0),
            Family::counter("task_total", "", &[]).value(1.0),
            Family::counter("run_total", "", &[]).value(1.0),
            Family::gauge("run_created", "", &[]).value(1.0),
            Family::histogram("h", "", &[]).value(histogram()),
            info("h_info"),
            Family::counter("h_count_total", "", &[]).value(1.0),
            info("h_sum_info"),
            Family::state_set("s", "", &["on"], "on"),
            info("s_info"),
            Family::counter("_total", "", &[]).value(1.0),
        ];
        let text = text(families);
        crate::testing::assert_openmetrics(&text);
        for header in [
            "# TYPE job counter",
            "# TYPE task_created counter",
            "# TYPE task_total unknown",
            "# TYPE job_info gauge",
            "# TYPE job_created_info gauge",
            "# TYPE run_total unknown",
            "# TYPE run_created gauge",
            "# TYPE h_info gauge",
            "# TYPE h_count_total unknown",
            "# TYPE h_sum_info gauge",
            "# TYPE s_info gauge",
            "# TYPE _total unknown",
        ] {
            assert!(text.contains(&format!("{header}\n")), "{header}\n{text}");
        }
    }

    #[test]
    fn bounds_are_floats_and_counts_are_integers() {
        let histogram = Histogram::new([(1.0, 3)], Some(2.0), 4);
        let bare = Histogram::new([], None, 4);
        let summary = Summary { quantiles: vec![(0.5, 1.0)], sum: 3.0, count: 3 };
        let families = vec![
            Family::histogram("h", "", &["q"]).with(&["x"], histogram).with(&["y"], bare),
            Family::new(Kind::Summary, "s", "", [""; 0]).unwrap().value(summary),
        ];
        assert_eq!(
            text(families),
            "# TYPE h histogram\nh_bucket{q=\"x\",le=\"1.0\"} 3\nh_bucket{q=\"x\",le=\"+Inf\"} 4\n\
             h_sum{q=\"x\"} 2.0\nh_count{q=\"x\"} 4\nh_bucket{q=\"y\",le=\"+Inf\"} 4\n\
             # TYPE s summary\ns{quantile=\"0.5\"} 1.0\ns_sum 3.0\ns_count 3\n# EOF\n"
        );
    }

    #[test]
    fn counters_and_histograms_have_created_times_and_exemplars() {
        let time = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_millis(seconds);
        let exemplar = |value| Exemplar::new([("trace_id", "ab\"c")], value);
        let mut counter = Family::counter("a_total", "", &["l"]).with(&["x"], 2.0);
        counter.set_created(time(1_757_568_506_125));
        counter.set_exemplar(exemplar(1.0));
        counter.push(&["y"], 3.0);
        let mut unknown = Family::counter("b", "", &[]).value(1.0);
        unknown.set_created(time(1000));
        let histogram = Histogram::new([(1.0, 3)], Some(2.0), 4);
        let histogram = histogram.with_exemplars([exemplar(0.5), Exemplar::new([("", ""); 0], 7.0).at(time(1500))]);
        let mut histogram = Family::histogram("h", "", &[]).value(histogram);
        histogram.set_created(time(2000));
        let text = text(vec![counter, unknown, histogram]);
        assert_eq!(
            text,
            "# TYPE a counter\na_total{l=\"x\"} 2.0 # {trace_id=\"ab\\\"c\"} 1.0\n\
             a_created{l=\"x\"} 1.757568506125e+09\na_total{l=\"y\"} 3.0\n# TYPE b unknown\nb 1.0\n\
             # TYPE h histogram\nh_bucket{le=\"1.0\"} 3 # {trace_id=\"ab\\\"c\"} 0.5\n\
             h_bucket{le=\"+Inf\"} 4 # {} 7.0 1.5\nh_sum 2.0\nh_count 4\nh_created 2.0\n# EOF\n"
        );
        #[cfg(feature = "testing")]
        crate::testing::assert_openmetrics(&text);
    }

    #[test]
    fn a_time_is_written_in_seconds() {
        let mut family = Family::gauge("g", "", &[]);
        family.push_at::<&str>(&[], 2.0, 1_757_568_506_125);
        assert_eq!(text(vec![family]), "# TYPE g gauge\ng 2.0 1.757568506125e+09\n# EOF\n");
    }
}
