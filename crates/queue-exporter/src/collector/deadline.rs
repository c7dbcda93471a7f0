//! The time that the requests of one read may take.

use std::time::Duration;

use anyhow::Result;
use exporter_common::{Scrape, duration};

use crate::read_error::{Reason, read_error};

pub(super) struct Deadline<'a> {
    pub(super) scrape: &'a Scrape,
    request_timeout: Duration,
    /// The part of the scrape in which this read finishes and reports late queues.
    reserve: Duration,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(scrape: &'a Scrape, request_timeout: Duration) -> Self {
        Self { scrape, request_timeout, reserve: scrape.time_left() / 20 }
    }

    /// The time for the next part of the list. Without the list there is nothing else to read.
    pub(super) fn for_list(&self) -> Duration {
        self.request_timeout.min(self.left())
    }

    /// The time for a batch of queues: half of the time left, so that batches behind one that hangs are still read.
    pub(super) fn for_queues(&self) -> Duration {
        self.request_timeout.min(self.left() / 2)
    }

    fn left(&self) -> Duration {
        self.scrape.time_left().saturating_sub(self.reserve)
    }
}

/// Waits for a request no longer than the limit.
pub(super) async fn limited<T>(limit: Duration, request: impl Future<Output = T>) -> Result<T> {
    if limit < Duration::from_millis(1) {
        return Err(read_error(Reason::Timeout, "the scrape's time was used up before the request"));
    }
    let late = |_| read_error(Reason::Timeout, format!("no response within {}", duration::human(limit)));
    tokio::time::timeout(limit, request).await.map_err(late)
}
