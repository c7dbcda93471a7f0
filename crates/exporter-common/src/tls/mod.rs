//! TLS: certificates and keys in PEM, CA certificates, the server's configuration and client certificates.

mod any_server;
mod client_certificates;
pub mod pem;
pub(crate) mod server;
mod trusted_server;
pub(crate) mod x509;

pub use any_server::AnyServer;
pub use trusted_server::TrustedServer;
