//! Metrics of the requests for metrics, under the names of client_golang's handler.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use crate::exposition::family::Family;

/// The status codes that are exported before the first request, as in client_golang.
const INITIAL_CODES: [StatusCode; 3] =
    [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];

/// Counts the requests for metrics.
pub(crate) struct HandlerMetrics {
    /// The number of requests by status code.
    requests: Mutex<BTreeMap<u16, u64>>,
    in_flight: AtomicU64,
    /// The number of refused scrapes, indexed by [`Refusal`].
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// A request in flight.
pub(super) struct InFlight<'a>(&'a HandlerMetrics);

impl Default for HandlerMetrics {
    fn default() -> Self {
        let requests = INITIAL_CODES.map(|code| (code.as_u16(), 0)).into();
        Self { requests: Mutex::new(requests), in_flight: AtomicU64::new(0), refused: Default::default() }
    }
}

/// Why a scrape is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `--web.max-requests` are in progress.
    MaxRequests,
    /// The responses that are being sent use the memory limit.
    Memory,
}

impl Refusal {
    const ALL: [Self; 2] = [Self::MaxRequests, Self::Memory];

    /// The value of the label `reason`.
    fn label(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::Memory => "memory",
        }
    }
}

impl HandlerMetrics {
    /// Counts a refused scrape.
    pub(super) fn refuse(&self, reason: Refusal) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn start(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// The families.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut requests = Family::counter(
            "promhttp_metric_handler_requests_total",
            "Total number of requests for metrics by HTTP status code.",
            &["code"],
        );
        for (code, count) in &*self.requests() {
            requests.push(&[code.to_string()], *count);
        }
        let in_flight = Family::gauge(
            "promhttp_metric_handler_requests_in_flight",
            "Current number of requests for metrics being served.",
            &[],
        );
        let mut refused = Family::counter(
            "exporter_scrapes_refused_total",
            "Total number of scrapes refused with HTTP status 503, by the limit they exceeded.",
            &["reason"],
        );
        for reason in Refusal::ALL {
            refused.push(&[reason.label()], self.refused[reason as usize].load(Ordering::Relaxed));
        }
        vec![requests, in_flight.value(self.in_flight.load(Ordering::Relaxed)), refused]
    }

    fn requests(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner) // counts are always consistent
    }
}

impl InFlight<'_> {
    /// Counts the request by the status of its response.
    pub(super) fn finish(self, status: StatusCode) {
        *self.0.requests().entry(status.as_u16()).or_default() += 1;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed); // also if the client disconnects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::text::to_text;

    #[test]
    fn requests_are_counted_by_status() {
        let metrics = HandlerMetrics::default();
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
