//! The limits for which a scrape is refused with 503.

/// Why a scrape is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `--web.max-requests` are in progress.
    MaxRequests,
    /// The responses that are being sent use the memory limit.
    Memory,
}

#[cfg(feature = "prometheus")]
impl Refusal {
    pub(super) const ALL: [Self; 2] = [Self::MaxRequests, Self::Memory];

    /// The value of the label `reason`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::Memory => "memory",
        }
    }
}
