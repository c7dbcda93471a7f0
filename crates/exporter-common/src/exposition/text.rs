//! Encodes the text format 0.0.4, byte for byte as the Go client.
//!
//! Source: the page on exposition formats of Prometheus, and the output of client_golang.

use std::sync::Arc;

use super::encoder::{self, Encode};
use super::family::{Family, Kind};
use super::merge::{Exposition, Group};
use super::sample_format::{Dialect, comment, escape, sample};

/// Families in the text format: merged, sorted, without duplicates.
pub fn to_text(families: impl IntoIterator<Item = Family>) -> String {
    let mut out = Vec::new();
    encoder::encode(&Exposition::merge(families.into_iter().map(Arc::new).collect()), Box::new(Text), &mut out);
    String::from_utf8(out).unwrap_or_default() // strings and ASCII are UTF-8
}

/// The text format.
pub(crate) struct Text;

impl Encode for Text {
    fn header(&mut self, _index: usize, group: &Group, out: &mut Vec<u8>) {
        header(group.head(), out);
    }

    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>) {
        sample(Dialect::Text, family, series, out);
    }
}

fn header(family: &Family, out: &mut Vec<u8>) {
    if !family.help().is_empty() {
        comment(family, "HELP", family.name(), |out| escape(family.help(), false, out), out);
    }
    let kind: &[u8] = match family.kind() {
        Kind::Counter => b"counter",
        Kind::Gauge | Kind::Info | Kind::StateSet => b"gauge",
        Kind::Histogram => b"histogram",
        Kind::Summary => b"summary",
        Kind::Unknown => b"untyped",
    };
    comment(family, "TYPE", family.name(), |out| out.extend_from_slice(kind), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::family::{Histogram, Summary};

    #[test]
    fn families_series_and_labels_are_sorted() {
        let cpus = Family::gauge("b_cpu", "", &["cpu"]).with(&["2"], 1.0).with(&["10"], 2.0);
        let modes = Family::counter("a_total", "A.", &["mode", "cpu"]).with(&["user", "0"], 1.5);
        assert_eq!(
            to_text([cpus, modes]),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{cpu=\"0\",mode=\"user\"} 1.5\n\
             # TYPE b_cpu gauge\nb_cpu{cpu=\"10\"} 2\nb_cpu{cpu=\"2\"} 1\n"
        );
    }

    #[test]
    fn help_and_label_values_are_escaped() {
        let family = Family::gauge("g", "a \\ b\nc \"d\"", &["l"]).with(&["a \\ b\nc \"d\""], 1.0);
        assert_eq!(
            to_text([family]),
            "# HELP g a \\\\ b\\nc \"d\"\n# TYPE g gauge\ng{l=\"a \\\\ b\\nc \\\"d\\\"\"} 1\n"
        );
    }

    #[test]
    fn histograms_and_summaries_have_all_their_samples() {
        let histogram = Histogram::new([(0.5, 1), (1.0, 3)], Some(2.25), 4);
        let summary = Summary { quantiles: vec![(0.5, 0.1)], sum: 0.3, count: 3 };
        let families = [
            Family::histogram("h_seconds", "", &["q"]).with(&["x"], histogram),
            Family::new(Kind::Summary, "s_seconds", "", [""; 0]).unwrap().value(summary),
        ];
        assert_eq!(
            to_text(families),
            "# TYPE h_seconds histogram\nh_seconds_bucket{q=\"x\",le=\"0.5\"} 1\n\
             h_seconds_bucket{q=\"x\",le=\"1\"} 3\nh_seconds_bucket{q=\"x\",le=\"+Inf\"} 4\n\
             h_seconds_sum{q=\"x\"} 2.25\nh_seconds_count{q=\"x\"} 4\n\
             # TYPE s_seconds summary\ns_seconds{quantile=\"0.5\"} 0.1\ns_seconds_sum 0.3\ns_seconds_count 3\n"
        );
    }

    #[test]
    fn a_series_with_a_timestamp_is_written_with_it() {
        let mut family = Family::gauge("g", "", &["l"]).with(&["a"], 1.0);
        family.push_at(&["b"], 2.0, 1_757_568_506_123);
        family.push(&["c"], 3.0);
        let expected = "# TYPE g gauge\ng{l=\"a\"} 1\ng{l=\"b\"} 2 1757568506123\ng{l=\"c\"} 3\n";
        assert_eq!(to_text([family]), expected);
    }

    #[test]
    fn state_sets_and_infos_are_gauges() {
        let families = [
            Family::state_set("app_health", "Health.", &["healthy", "unhealthy"], "unhealthy"),
            Family::info("x_info", "", &["version"]).with(&["1"], 1.0),
            Family::gauge("empty", "Without series.", &[]),
        ];
        assert_eq!(
            to_text(families),
            "# HELP app_health Health.\n# TYPE app_health gauge\napp_health{app_health=\"healthy\"} 0\n\
             app_health{app_health=\"unhealthy\"} 1\n# TYPE x_info gauge\nx_info{version=\"1\"} 1\n"
        );
    }
}
