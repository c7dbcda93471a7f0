//! One scrape: collectors, their sources, and the response that joins them.

pub(crate) mod collector;
pub(crate) mod failure_log;
mod read;
pub(crate) mod scrape_response;
pub(crate) mod source;
