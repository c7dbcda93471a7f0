//! Requests to the application: its URL, HTTP client, tokens and pages.

pub(crate) mod client;
pub(crate) mod oauth2;
pub(crate) mod page;
pub(crate) mod url;
