//! Requests to the application: URLs, HTTP clients, sockets, tokens and pages.

mod body;
mod client;
mod content;
pub(crate) mod file;
mod oauth2;
pub(crate) mod page;
pub(crate) mod settings;
mod stream;
pub(crate) mod url;
