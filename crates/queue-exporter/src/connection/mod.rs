//! How the exporter reaches a queue system: URL, credentials, TLS, and an HTTP client.

mod credentials;
mod http;
mod settings;
mod tls;

pub(crate) use credentials::Credentials;
pub(crate) use http::{HttpClient, HttpResponse, tls_error};
pub(crate) use settings::{ConnectionSettings, url_host};
pub(crate) use tls::TlsFlags;
