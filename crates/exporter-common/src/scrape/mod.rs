//! One scrape: collectors, their sources, and the response that joins them; and probes of many targets.

pub(crate) mod blocking;
pub(crate) mod collector;
pub(crate) mod failure_log;
mod panic;
pub(crate) mod probe;
mod read;
pub(crate) mod scrape_response;
pub(crate) mod source;

use panic::panicked;
