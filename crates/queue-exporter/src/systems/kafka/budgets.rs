//! What the reads of one scrape may use together.

use super::connection::Budget;

/// The size of the responses from which one list of topics and groups, or one list of offsets, is read.
pub(super) const MAX_METADATA: usize = 64 << 20;

/// The size of the responses with records in one scrape. Only times are kept.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// The largest number of records that one scrape fetches, and of requests for a single one.
const MAX_RECORDS: usize = 10_000;
const MAX_SINGLE: usize = 2000;

/// The budgets of the reads of all queues in a list.
pub(super) struct Budgets {
    pub(super) offsets: Budget,
    pub(super) record_bytes: Budget,
    pub(super) records: Budget,
    pub(super) single_records: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            offsets: Budget::new(MAX_METADATA),
            record_bytes: Budget::new(MAX_RECORD_BYTES),
            records: Budget::new(MAX_RECORDS),
            single_records: Budget::new(MAX_SINGLE),
        }
    }
}
