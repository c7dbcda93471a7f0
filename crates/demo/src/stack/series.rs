//! Series in the text format.

/// A displayed value of a part: the sum of a metric's series.
pub(crate) struct Series {
    pub(crate) metric: &'static str,
    /// Whether a series with these labels and this value is part of the sum.
    pub(crate) wanted: fn(&str, f64) -> bool,
    /// What the value is, in the words of the table.
    pub(crate) name: &'static str,
}

impl Series {
    /// The sum of all series of a metric.
    pub(crate) const fn sum(metric: &'static str, name: &'static str) -> Self {
        Self { metric, wanted: |_, _| true, name }
    }

    /// The sum of all series of a metric that is 0 until its first value is known.
    pub(crate) const fn sum_above_0(metric: &'static str, name: &'static str) -> Self {
        Self { metric, wanted: |_, value| value > 0.0, name }
    }

    /// Whether the value never decreases, so that its rate is what matters.
    pub(crate) fn is_counter(&self) -> bool {
        self.metric.ends_with("_total")
    }

    /// `None` if there are no such series.
    pub(crate) fn read(&self, text: &str) -> Option<f64> {
        let values = samples(text, self.metric).filter(|(labels, value)| (self.wanted)(labels, *value));
        values.map(|(_, value)| value).reduce(|sum, value| sum + value)
    }
}

/// The labels and the value of each series of a metric.
pub(crate) fn samples<'a>(text: &'a str, metric: &str) -> impl Iterator<Item = (&'a str, f64)> {
    let series =
        text.lines().filter_map(move |line| line.strip_prefix(metric).filter(|rest| rest.starts_with(['{', ' '])));
    series.filter_map(|rest| {
        let (labels, value) = rest.rsplit_once(' ')?;
        Some((labels, value.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_series_of_a_metric_are_summed() {
        let text = "# TYPE a_total counter\na_total{l=\"x y\"} 1\na_total{l=\"z\"} 2.5\na_total_other 9\nb 0\n";
        let read = |metric| Series::sum(metric, "").read(text);
        assert_eq!(read("a_total"), Some(3.5));
        let not_z = Series { wanted: |labels, _| !labels.contains("l=\"z\""), ..Series::sum("a_total", "") };
        assert_eq!(not_z.read(text), Some(1.0));
        assert_eq!(read("b"), Some(0.0));
        assert_eq!(read("c"), None);
    }
}
