//! Without the feature `tls`: a web configuration with TLS is refused.

/// No TLS.
#[derive(Clone)]
pub(crate) enum ServerTls {}

pub(crate) mod server {
    //! The server's TLS configuration, which is refused.

    use anyhow::{Result, bail};

    use super::ServerTls;
    use crate::config::web_config::TlsConfig;

    /// No server's TLS.
    pub(crate) struct Server {
        pub(crate) config: ServerTls,
        pub(crate) expiry: Option<i64>,
        pub(crate) warnings: Vec<String>,
    }

    /// Refuses TLS.
    pub(crate) fn server(_: &TlsConfig, _: bool) -> Result<Server> {
        bail!("tls_server_config: this exporter is built without the feature tls")
    }

    /// Without TLS, there are no protocols.
    pub(crate) fn keep_protocols(_: &mut ServerTls, before: &ServerTls) {
        match *before {}
    }
}
