//! TLS: certificates and keys in PEM, CA certificates, client and server configurations.

mod any_server;
pub(crate) mod der;
pub mod pem;

pub use any_server::AnyServer;
