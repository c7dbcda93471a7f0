//! How the exporter reaches a queue system: URL, credentials, TLS, streams, and an HTTP client.

mod credentials;
mod http;
mod parameters;
mod settings;
mod stream;
mod tls;

pub(crate) use credentials::Credentials;
pub(crate) use http::{HttpClient, HttpResponse, http_connections, limited_body, request_error, tls_error};
pub(crate) use parameters::take_parameters;
pub(crate) use settings::{ConnectionSettings, url_host};
pub(crate) use stream::{Address, Connected, connect, parse_address};
pub(crate) use tls::TlsFlags;
