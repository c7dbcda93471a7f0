//! Metrics of the requests for metrics, under the names of client_golang's handler.

use anyhow::Result;
use http::StatusCode;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::refusal::Refusal;
use crate::exposition::family::Family;
use crate::registry;

/// The status codes that are exported before the first request, as in client_golang.
const INITIAL_CODES: [StatusCode; 3] =
    [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];

/// Counts the requests for metrics.
pub(crate) struct HandlerMetrics {
    registry: Registry,
    /// Requests by status code.
    requests: IntCounterVec,
    in_flight: IntGauge,
    /// Refused scrapes by [`Refusal`].
    refused: IntCounterVec,
}

/// A request in flight.
pub(super) struct InFlight<'a>(&'a HandlerMetrics);

impl HandlerMetrics {
    pub(crate) fn new() -> Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "promhttp_metric_handler_requests_total",
                "Total number of requests for metrics by HTTP status code.",
            ),
            &["code"],
        )?;
        let in_flight = IntGauge::new(
            "promhttp_metric_handler_requests_in_flight",
            "Current number of requests for metrics being served.",
        )?;
        let refused = IntCounterVec::new(
            Opts::new(
                "exporter_scrapes_refused_total",
                "Total number of scrapes refused with HTTP status 503, by the limit they exceeded.",
            ),
            &["reason"],
        )?;
        for code in INITIAL_CODES {
            requests.with_label_values(&[code.as_str()]);
        }
        for reason in Refusal::ALL {
            refused.with_label_values(&[reason.label()]);
        }
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self { registry, requests, in_flight, refused })
    }

    /// Counts a refused scrape.
    pub(super) fn refuse(&self, reason: Refusal) {
        self.refused.with_label_values(&[reason.label()]).inc();
    }

    pub(super) fn start(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(self)
    }

    /// The families.
    pub(crate) fn families(&self) -> Vec<Family> {
        registry::families(&self.registry)
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

    #[test]
    fn requests_are_counted_by_status() {
        let metrics = HandlerMetrics::new().unwrap();
        metrics.start().finish(StatusCode::OK);
        metrics.start().finish(StatusCode::BAD_REQUEST);
        metrics.refuse(Refusal::Memory);
        let disconnected = metrics.start();
        let text = to_text(metrics.families());
        for line in [
            "exporter_scrapes_refused_total{reason=\"max_requests\"} 0",
            "exporter_scrapes_refused_total{reason=\"memory\"} 1",
            "promhttp_metric_handler_requests_in_flight 1",
            "promhttp_metric_handler_requests_total{code=\"200\"} 1",
            "promhttp_metric_handler_requests_total{code=\"400\"} 1",
            "promhttp_metric_handler_requests_total{code=\"500\"} 0",
            "promhttp_metric_handler_requests_total{code=\"503\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} not in {text}");
        }
        drop(disconnected);
        assert!(to_text(metrics.families()).contains("_in_flight 0\n"));
    }
}
