//! TLS: certificates and keys in PEM, CA certificates, the server's configuration and client certificates.
//!
//! The public items help collectors that are TLS clients. They have types of [`rustls`], which is re-exported: a new
//! version of rustls makes a new incompatible version of this library.
//!
//! ```
//! use std::sync::Arc;
//!
//! use scrapewright::tls::rustls::ClientConfig;
//! use scrapewright::tls::rustls::crypto::ring;
//! use scrapewright::tls::{TrustedServer, pem};
//!
//! /// A client that trusts the CA certificates of a file, or else of the system.
//! fn client(ca: Option<&[u8]>) -> anyhow::Result<ClientConfig> {
//!     let provider = Arc::new(ring::default_provider());
//!     let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
//!     Ok(match ca {
//!         Some(ca) => builder
//!             .dangerous()
//!             .with_custom_certificate_verifier(Arc::new(TrustedServer::new(ca, provider)?))
//!             .with_no_client_auth(),
//!         None => builder.with_root_certificates(pem::system_ca_certificates()).with_no_client_auth(),
//!     })
//! }
//! # assert!(client(None).is_ok() && client(Some(b"not PEM")).is_err());
//! ```

mod any_server;
mod client_certificates;
mod explain;
pub mod pem;
pub(crate) mod server;
mod trusted_server;
pub(crate) mod x509;

pub use any_server::AnyServer;
pub(crate) use explain::explain_client_error;
pub use explain::{explain_certificate_error, explain_server_error};
pub use rustls;
pub(crate) use rustls::ServerConfig as ServerTls;
pub use trusted_server::TrustedServer;
