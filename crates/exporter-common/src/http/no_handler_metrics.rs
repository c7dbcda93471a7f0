//! Without the feature `prometheus`: requests for metrics are not counted.

use anyhow::Result;
use http::StatusCode;

use super::refusal::Refusal;
use crate::exposition::family::Family;

/// Counts nothing.
pub(crate) struct HandlerMetrics;

/// A request in flight.
pub(super) struct InFlight;

impl HandlerMetrics {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }

    pub(super) fn refuse(&self, _: Refusal) {}

    pub(super) fn start(&self) -> InFlight {
        InFlight
    }

    pub(crate) fn families(&self) -> Vec<Family> {
        Vec::new()
    }
}

impl InFlight {
    pub(super) fn finish(self, _: StatusCode) {}
}
