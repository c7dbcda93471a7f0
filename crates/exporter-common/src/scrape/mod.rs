//! One scrape: collectors, their sources, and the response that joins them; and probes of many targets.

pub(crate) mod blocking;
pub(crate) mod collector;
pub(crate) mod failure_log;
pub(crate) mod probe;
mod read;
pub(crate) mod scrape_response;
pub(crate) mod source;

/// The message of a panic in a collector, as an error.
fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    format!("panicked: {}", crate::log::panic_message(panic))
}
