//! Requests to the application: URLs, HTTP clients, tokens and pages.

mod body;
mod client;
mod oauth2;
pub(crate) mod page;
pub(crate) mod settings;
pub(crate) mod url;
