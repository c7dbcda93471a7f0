//! Converts the families of the `prometheus` crate to ours.

use std::borrow::Cow;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::exposition::family::{Family, Histogram, Kind, Summary, Value};
use crate::scrape::collector::{Collector, Scrape};

/// A registry of the `prometheus` crate as a collector, for direct instrumentation.
pub struct Registry {
    name: Cow<'static, str>,
    registry: prometheus::Registry,
}

impl Registry {
    /// A registry, and the name of its collector.
    pub fn new(name: impl Into<Cow<'static, str>>, registry: prometheus::Registry) -> Self {
        Self { name: name.into(), registry }
    }
}

#[async_trait::async_trait]
impl Collector for Registry {
    fn name(&self) -> &str {
        &self.name
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        for family in families(&self.registry) {
            scrape.add(family);
        }
        Ok(())
    }
}

/// The families of a registry.
pub(crate) fn families(registry: &prometheus::Registry) -> Vec<Family> {
    registry.gather().iter().flat_map(convert).collect()
}

/// One family for each set of label names in the metrics of `from`. The crate `prometheus` has validated the names.
fn convert(from: &MetricFamily) -> Vec<Family> {
    let kind = match from.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::UNTYPED => Kind::Unknown,
    };
    let names = |metric: &Metric| metric.get_label().iter().map(|label| label.name().to_owned()).collect::<Vec<_>>();
    let same_labels = |a: &Metric, b: &Metric| names(a) == names(b);
    let convert_chunk = |metrics: &[Metric]| {
        let labels = metrics.first().map(names).unwrap_or_default();
        let mut family = Family::new(kind, from.name().to_owned(), from.help().to_owned(), labels).ok()?;
        for metric in metrics {
            let labels: Vec<_> = metric.get_label().iter().map(LabelPair::value).collect();
            family.push(&labels, value(kind, metric));
        }
        Some(family)
    };
    from.get_metric().chunk_by(same_labels).filter_map(convert_chunk).collect()
}

/// The value of a counter or gauge. With the feature `protobuf` of the crate `prometheus`, which another dependency may
/// enable, it is `value()`, and without it `get_value()`. A method of the type precedes one of this trait, so each of
/// these calls the one that exists.
trait GetValue {
    fn value(&self) -> f64;
    fn get_value(&self) -> f64;
}

const _: [fn(&Counter) -> f64; 2] = [GetValue::value, GetValue::get_value]; // one of them has no other use

impl GetValue for Counter {
    fn value(&self) -> f64 {
        self.get_value()
    }

    fn get_value(&self) -> f64 {
        self.value()
    }
}

impl GetValue for Gauge {
    fn value(&self) -> f64 {
        self.get_value()
    }

    fn get_value(&self) -> f64 {
        self.value()
    }
}

fn value(kind: Kind, metric: &Metric) -> Value {
    match kind {
        Kind::Counter => metric.get_counter().get_value().into(),
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
            let buckets: Vec<_> = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
            Value::from(Histogram::new(buckets, Some(histogram.get_sample_sum()), histogram.get_sample_count()))
        }
        Kind::Summary => {
            let summary = metric.get_summary();
            Value::from(Summary {
                quantiles: summary.get_quantile().iter().map(|q| (q.quantile(), q.value())).collect(),
                sum: summary.sample_sum(),
                count: summary.sample_count(),
            })
        }
        Kind::Gauge | Kind::Unknown | Kind::Info | Kind::StateSet => metric.get_gauge().get_value().into(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};

    use super::*;
    use crate::exposition::text::to_text;

    #[test]
    fn a_registry_is_written_as_its_own_encoder_writes_it() {
        let registry = prometheus::Registry::new();
        let counter = IntCounterVec::new(Opts::new("requests_total", "Requests."), &["http_code"]).unwrap();
        counter.with_label_values(&["500"]).inc_by(505);
        counter.with_label_values(&["200"]).inc_by(495);
        let buckets = HistogramOpts::new("seconds", "Times.").buckets(vec![0.25, 0.5]);
        let histogram = HistogramVec::new(buckets, &["queue"]).unwrap();
        histogram.with_label_values(&["a \"b\""]).observe(0.25);
        histogram.with_label_values(&["a \"b\""]).observe(2.5);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        let families = registry.gather();
        let mut expected = Vec::new();
        TextEncoder::new().encode(&families, &mut expected).unwrap();
        assert_eq!(to_text(families.iter().flat_map(convert)), String::from_utf8(expected).unwrap());
    }
}
