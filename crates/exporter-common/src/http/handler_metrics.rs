//! Metrics of the requests for metrics, under the names of client_golang's handler.

use http::StatusCode;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// The status codes that are exported before the first request, as in client_golang.
const INITIAL_CODES: [StatusCode; 3] =
    [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];

/// Counts the requests for metrics.
pub(crate) struct HandlerMetrics {
    requests: IntCounterVec,
    in_flight: IntGauge,
}

/// A request in flight.
pub(super) struct InFlight<'a>(&'a HandlerMetrics);

impl HandlerMetrics {
    /// The metrics, registered in `registry` so that scrapes export them.
    ///
    /// # Errors
    /// The registry already has metrics of these names.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new(
            "promhttp_metric_handler_requests_total",
            "Total number of requests for metrics by HTTP status code.",
        );
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["code"])?,
            in_flight: IntGauge::new(
                "promhttp_metric_handler_requests_in_flight",
                "Current number of requests for metrics being served.",
            )?,
        };
        for code in INITIAL_CODES {
            let _ = metrics.requests.with_label_values(&[code.as_str()]);
        }
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    pub(super) fn start(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(self)
    }
}

impl InFlight<'_> {
    /// Counts the request by the status of its response.
    pub(super) fn finish(self, status: StatusCode) {
        self.0.requests.with_label_values(&[status.as_str()]).inc();
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec(); // also if the client disconnects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::text::to_text;
    use crate::registry;

    #[test]
    fn requests_are_counted_by_status() {
        let prometheus = Registry::new();
        let metrics = HandlerMetrics::new(&prometheus).unwrap();
        metrics.start().finish(StatusCode::OK);
        metrics.start().finish(StatusCode::BAD_REQUEST);
        let disconnected = metrics.start();
        let text = to_text(registry::families(&prometheus));
        for line in [
            "promhttp_metric_handler_requests_in_flight 1",
            "promhttp_metric_handler_requests_total{code=\"200\"} 1",
            "promhttp_metric_handler_requests_total{code=\"400\"} 1",
            "promhttp_metric_handler_requests_total{code=\"500\"} 0",
            "promhttp_metric_handler_requests_total{code=\"503\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} not in {text}");
        }
        drop(disconnected);
        assert!(to_text(registry::families(&prometheus)).contains("_in_flight 0\n"));
    }
}
