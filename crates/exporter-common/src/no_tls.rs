//! Without the feature `tls`: a web configuration with TLS is refused.

/// No TLS.
#[derive(Clone)]
pub(crate) enum ServerTls {}

pub(crate) mod server {
    //! The server's TLS configuration, which is refused.

    use super::ServerTls;

    /// No server's TLS.
    #[cfg(feature = "yaml")]
    pub(crate) struct Server {
        pub(crate) config: ServerTls,
        pub(crate) expiry: Option<i64>,
        pub(crate) warnings: Vec<String>,
    }

    /// Refuses TLS.
    #[cfg(feature = "yaml")]
    pub(crate) fn server(_: &crate::config::web_config::TlsConfig, _: bool) -> anyhow::Result<Server> {
        anyhow::bail!("tls_server_config: this exporter is built without the feature tls")
    }

    /// Without TLS, there are no protocols.
    pub(crate) fn keep_protocols(_: &mut ServerTls, before: &ServerTls) {
        match *before {}
    }
}
