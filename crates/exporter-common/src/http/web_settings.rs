//! The settings of `--web.config.file`, which are reloaded when the file or a file it names has changed.

mod settings;
#[cfg_attr(not(feature = "yaml"), path = "no_web_file.rs")]
pub(crate) mod web_file;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::time::Instant;

use self::settings::WebSettings;
use self::web_file::read;
use crate::config::reload::{Files, ReloadStatus};
use crate::exposition::family::Family;

/// The minimum interval between checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The time limit of a request for this check, since a file system may hang.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// The settings in effect, and their file.
pub(crate) struct WebConfiguration {
    path: Option<PathBuf>,
    state: Mutex<WebState>,
    /// Held while the files are checked.
    checking: tokio::sync::Mutex<()>,
}

struct WebState {
    settings: Arc<WebSettings>,
    /// Checked without the lock, since a file system may hang.
    files: Arc<Files>,
    checked: Instant,
    loaded: SystemTime,
    /// The error of the last load. Every check tries again, since a missing file may appear.
    error: Option<String>,
}

impl WebConfiguration {
    /// Loads the file, if one is configured.
    ///
    /// # Errors
    /// The file, or a file that it names, is invalid.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self> {
        let (settings, files) = path.map(read).transpose()?.unwrap_or_default();
        settings.warn();
        let state = WebState {
            settings: Arc::new(settings),
            files: Arc::new(files),
            checked: Instant::now(),
            loaded: SystemTime::now(),
            error: None,
        };
        Ok(Self { path: path.map(Path::to_owned), state: Mutex::new(state), checking: tokio::sync::Mutex::new(()) })
    }

    /// Whether a file is configured.
    pub(crate) fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// The settings in effect, without a check of the file.
    pub(crate) fn current(&self) -> Arc<WebSettings> {
        self.lock().settings.clone()
    }

    /// The settings, after a check of the file at most once a second.
    pub(crate) async fn settings(self: &Arc<Self>) -> Arc<WebSettings> {
        if self.is_configured() && self.lock().checked.elapsed() >= CHECK_INTERVAL {
            let web = self.clone();
            let check = tokio::spawn(async move {
                // one request checks the files, the others use the current settings
                if let Ok(_checking) = web.checking.try_lock() {
                    let blocking = web.clone();
                    let _ = tokio::task::spawn_blocking(move || blocking.check_files()).await; // it does not panic
                }
            });
            let _ = tokio::time::timeout(CHECK_TIMEOUT, check).await; // use the current settings after the time limit
        }
        self.lock().settings.clone()
    }

    /// Reloads the file, even if it has not changed.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let _checking = self.checking.lock().await;
        let web = self.clone();
        let _ = tokio::task::spawn_blocking(move || web.load_again()).await; // it does not panic
    }

    /// Reloads the file if a file has changed.
    fn check_files(&self) {
        let (files, failed) = {
            let mut state = self.lock();
            state.checked = Instant::now();
            (state.files.clone(), state.error.is_some())
        };
        if failed || files.changed() {
            self.load_again();
        }
    }

    fn load_again(&self) {
        let Some(path) = &self.path else { return };
        match read(path) {
            Ok((mut settings, files)) => {
                settings.warn();
                let mut state = self.lock();
                settings.keep_unchangeable(&state.settings);
                state.settings = Arc::new(settings);
                state.files = Arc::new(files);
                state.loaded = SystemTime::now();
                state.error = None;
                tracing::info!(file = %path.display(), "web configuration loaded");
            }
            Err(error) => {
                let error = format!("{error:#}");
                let before = self.lock().error.replace(error.clone());
                if before.as_ref() != Some(&error) {
                    tracing::error!(error, "cannot load the web configuration; the last valid one stays in effect");
                }
            }
        }
    }

    /// `exporter_tls_certificate_expiry_timestamp_seconds`; none without TLS.
    pub(crate) fn families(&self) -> Vec<Family> {
        let expiry = self.current().certificate_expiry;
        let family = |expiry: i64| {
            Family::gauge(
                "exporter_tls_certificate_expiry_timestamp_seconds",
                "Unix time in seconds when the server's certificate expires, or a certificate of its chain if earlier.",
                &[],
            )
            .value(expiry as f64)
        };
        expiry.map(family).into_iter().collect()
    }

    /// The status of the last load, if a file is configured.
    pub(crate) fn reload_status(&self) -> Option<ReloadStatus> {
        self.path.as_ref()?;
        let state = self.lock();
        Some(ReloadStatus { successful: state.error.is_none(), last_success: state.loaded })
    }

    fn lock(&self) -> MutexGuard<'_, WebState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // always consistent
    }
}
