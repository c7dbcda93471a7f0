//! The web side's settings: the file `--web.config.file`, read again when it or a file it names has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use http::HeaderMap;
use rustls::ServerConfig;
use tokio::time::Instant;

use super::rate_limit::RateLimit;
use crate::config::reload::{Files, ReloadStatus};
use crate::config::web_config::{self, ClientAuth, PemSource, WebConfig};
use crate::config::{password_hash, small_file};
use crate::tls::server;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// How long a request waits for that, at most: a file system that hangs must not.
const LOOK_AT_MOST: Duration = Duration::from_millis(500);

/// What the configuration file says, ready to be used.
#[derive(Default)]
pub(crate) struct WebSettings {
    /// How TLS is spoken; none for plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Headers of every answer.
    pub(crate) headers: HeaderMap,
    /// Users and the hashes of their passwords; none lets everybody in.
    pub(crate) users: BTreeMap<String, String>,
    /// Whether a client without a certificate is turned away.
    pub(crate) clients_must_show_certificates: bool,
    /// How many requests are answered; none for any number.
    pub(crate) rate_limit: Option<RateLimit>,
    http2: bool,
    warnings: Vec<String>,
}

/// The settings in effect.
pub(crate) struct WebConfiguration {
    path: Option<PathBuf>,
    state: Mutex<WebState>,
    /// Held by who looks at the files.
    looking: tokio::sync::Mutex<()>,
}

struct WebState {
    settings: Arc<WebSettings>,
    /// Looked at without the lock, since a file system may hang.
    files: Arc<Files>,
    looked: Instant,
    loaded: SystemTime,
    /// Why the last load failed; it is tried again at every look, since a file that was missing may come.
    fault: Option<String>,
}

impl WebConfiguration {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, or with a file it names.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self> {
        let (settings, files) = path.map(read).transpose()?.unwrap_or_default();
        settings.warn();
        let state = WebState {
            settings: Arc::new(settings),
            files: Arc::new(files),
            looked: Instant::now(),
            loaded: SystemTime::now(),
            fault: None,
        };
        Ok(Self { path: path.map(Path::to_owned), state: Mutex::new(state), looking: tokio::sync::Mutex::new(()) })
    }

    /// Whether there is a file.
    pub(crate) fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// The settings in effect, without a look at the file.
    pub(crate) fn current(&self) -> Arc<WebSettings> {
        self.lock().settings.clone()
    }

    /// The settings, of a file that was looked at a second ago or less.
    pub(crate) async fn settings(self: &Arc<Self>) -> Arc<WebSettings> {
        if self.is_configured() && self.lock().looked.elapsed() >= LOOK {
            let web = self.clone();
            let look = tokio::spawn(async move {
                // one looks, the others go on with what is known
                if let Ok(_looking) = web.looking.try_lock() {
                    let blocking = web.clone();
                    let _ = tokio::task::spawn_blocking(move || blocking.look()).await; // it cannot panic
                }
            });
            let _ = tokio::time::timeout(LOOK_AT_MOST, look).await; // what is known will do
        }
        self.lock().settings.clone()
    }

    /// Reads the file again, changed or not.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let _looking = self.looking.lock().await;
        let web = self.clone();
        let _ = tokio::task::spawn_blocking(move || web.read_again()).await; // it cannot panic
    }

    /// Reads the file again if a file has changed.
    fn look(&self) {
        let (files, failed) = {
            let mut state = self.lock();
            state.looked = Instant::now();
            (state.files.clone(), state.fault.is_some())
        };
        if failed || files.changed() {
            self.read_again();
        }
    }

    fn read_again(&self) {
        let Some(path) = &self.path else { return };
        match read(path) {
            Ok((mut settings, files)) => {
                settings.warn();
                let mut state = self.lock();
                settings.keep(&state.settings);
                state.settings = Arc::new(settings);
                state.files = Arc::new(files);
                state.loaded = SystemTime::now();
                state.fault = None;
                tracing::info!(file = %path.display(), "web configuration loaded");
            }
            Err(error) => {
                let error = format!("{error:#}");
                let before = self.lock().fault.replace(error.clone());
                if before.as_ref() != Some(&error) {
                    tracing::error!(error, "cannot load the web configuration; the last good one stays in effect");
                }
            }
        }
    }

    /// How the last load went; nothing where there is no file.
    pub(crate) fn reloaded(&self) -> Option<ReloadStatus> {
        self.path.as_ref()?;
        let state = self.lock();
        Some(ReloadStatus { successful: state.fault.is_none(), last_success: state.loaded })
    }

    fn lock(&self) -> MutexGuard<'_, WebState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // whole at any time
    }
}

impl WebSettings {
    fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(warning, "web configuration");
        }
    }

    /// Keeps what cannot change while the process runs: whether TLS is spoken, and HTTP/2 offered.
    fn keep(&mut self, before: &WebSettings) {
        match (&mut self.tls, &before.tls) {
            (tls @ Some(_), None) => {
                tracing::warn!(
                    "the web configuration turns TLS on: restart the exporter; until then it serves plain HTTP"
                );
                *tls = None;
            }
            (tls @ None, Some(_)) => {
                tracing::warn!("the web configuration turns TLS off: restart the exporter; until then it serves TLS");
                tls.clone_from(&before.tls);
            }
            (Some(tls), Some(tls_before)) if self.http2 != before.http2 => {
                tracing::warn!(
                    "the web configuration changes http2: restart the exporter; until then it stays as it was"
                );
                Arc::make_mut(tls).alpn_protocols.clone_from(&tls_before.alpn_protocols);
                self.http2 = before.http2;
            }
            _ => {}
        }
    }
}

/// The settings of a file, and the files they were made of.
fn read(path: &Path) -> Result<(WebSettings, Files)> {
    let mut seen = Files::look([path.to_owned()]);
    let place = || path.display().to_string();
    let text = small_file::read_to_string(path)
        .map_err(|error| anyhow!("{}", server::io_reason(&error)))
        .with_context(place)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let WebConfig { tls, http2, headers, users, rate_limit } = web_config::parse(&text, folder).with_context(place)?;
    let files = tls.iter().flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]).flatten();
    for pem in files {
        if let PemSource::File { path, .. } = pem {
            seen.add(path);
        }
    }
    let rate_limit = rate_limit.map(|limit| RateLimit::new(limit.interval, limit.burst));
    let mut settings = WebSettings { http2, headers, rate_limit, ..WebSettings::default() };
    settings.warnings.extend(password_hash::warnings(&users));
    settings.users = users;
    if let Some(tls) = tls {
        let (server, warnings) = server::server(&tls, http2).with_context(place)?;
        settings.warnings.extend(warnings);
        settings.clients_must_show_certificates =
            matches!(tls.client_auth, ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert)
                || (tls.client_auth != ClientAuth::NoClientCert && !tls.client_allowed_sans.is_empty());
        settings.tls = Some(Arc::new(server));
    }
    Ok((settings, seen))
}

#[cfg(fuzzing)]
pub(crate) fn fuzz_config(text: &str) {
    // nothing is read: paths lead below a folder that is not there
    if let Ok(WebConfig { tls: Some(tls), http2, .. }) = web_config::parse(text, Path::new("/nonexistent"))
        && [&tls.cert, &tls.key].iter().all(|pem| matches!(pem, PemSource::Inline(_)))
    {
        let _ = server::server(&tls, http2);
    }
}

#[cfg(fuzzing)]
pub(crate) fn fuzz_certificate(der: &[u8]) {
    let _ = crate::tls::x509::certificate(der);
}
