//! OpenMetrics 1.0.0 and 0.0.1.
//!
//! Source: the OpenMetrics specification 1.0, and the output of client_golang.

use std::collections::HashSet;

use super::family::{Family, Kind};
use super::merge::Exposition;
use super::sample_format::{Dialect, comment, escape, sample};

/// Writes all groups of an exposition, and the mark of its end.
pub(crate) fn encode(exposition: &Exposition, out: &mut Vec<u8>) {
    let names: HashSet<_> = exposition.groups.iter().map(|group| group.head().name()).collect();
    for group in &exposition.groups {
        header(group.head(), &names, out);
        for (family, series) in group.series() {
            sample(Dialect::OpenMetrics, family, series, out);
        }
    }
    out.extend_from_slice(b"# EOF\n");
}

fn header(family: &Family, names: &HashSet<&str>, out: &mut Vec<u8>) {
    let whole = family.name();
    // In this format a family is named without the suffix of its samples. What lacks the suffix, or would
    // take another family's name, is shown as unknown.
    let without = |suffix| whole.strip_suffix(suffix).filter(|name| !name.is_empty() && !names.contains(name));
    let (name, kind): (_, &[u8]) = match family.kind() {
        Kind::Counter => without("_total").map_or((whole, b"unknown"), |name| (name, b"counter")),
        Kind::Info => without("_info").map_or((whole, b"gauge"), |name| (name, b"info")),
        Kind::Gauge => (whole, b"gauge"),
        Kind::StateSet => (whole, b"stateset"),
        Kind::Histogram => (whole, b"histogram"),
        Kind::Summary => (whole, b"summary"),
        Kind::Unknown => (whole, b"unknown"),
    };
    if !family.help().is_empty() {
        comment("HELP", name, |out| escape(family.help(), true, out), out);
    }
    comment("TYPE", name, |out| out.extend_from_slice(kind), out);
    if let Some(unit) = unit(name)
        && !matches!(family.kind(), Kind::Info | Kind::StateSet)
    {
        comment("UNIT", name, |out| out.extend_from_slice(unit.as_bytes()), out);
    }
}

/// The unit that a name ends in. Names carry their unit, so it is written down once.
fn unit(name: &str) -> Option<&'static str> {
    const UNITS: &[&str] =
        &["seconds", "bytes", "ratio", "hertz", "celsius", "volts", "amperes", "joules", "grams", "meters"];
    UNITS.iter().copied().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_') && rest.len() > 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exposition::family::{Histogram, Summary};

    fn text(families: Vec<Family>) -> String {
        let mut out = Vec::new();
        encode(&Exposition::merge(families.into_iter().map(Arc::new).collect()), &mut out);
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

    #[test]
    fn bounds_are_floats_and_counts_are_integers() {
        let histogram = Histogram { buckets: vec![(1.0, 3)], sum: Some(2.0), count: 4 };
        let bare = Histogram { buckets: vec![], sum: None, count: 4 };
        let summary = Summary { quantiles: vec![(0.5, 1.0)], sum: 3.0, count: 3 };
        let families = vec![
            Family::histogram("h", "", &["q"]).with(&["x"], histogram).with(&["y"], bare),
            Family::new(Kind::Summary, "s", "", [""; 0]).value(summary),
        ];
        assert_eq!(
            text(families),
            "# TYPE h histogram\nh_bucket{q=\"x\",le=\"1.0\"} 3\nh_bucket{q=\"x\",le=\"+Inf\"} 4\n\
             h_sum{q=\"x\"} 2.0\nh_count{q=\"x\"} 4\nh_bucket{q=\"y\",le=\"+Inf\"} 4\n\
             # TYPE s summary\ns{quantile=\"0.5\"} 1.0\ns_sum 3.0\ns_count 3\n# EOF\n"
        );
    }

    #[test]
    fn a_time_is_written_in_seconds() {
        let mut family = Family::gauge("g", "", &[]);
        family.push_at::<&str>(&[], 2.0, 1_757_568_506_125);
        assert_eq!(text(vec![family]), "# TYPE g gauge\ng 2.0 1.757568506125e+09\n# EOF\n");
    }
}
