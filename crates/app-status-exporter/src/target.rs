//! What is read and how it is translated, from the flags and the configuration file, which may change meanwhile.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use exporter_common::reload::{Files, Reloaded};

use crate::config::{self, RequestSettings};
use crate::http::page::PageClient;
use crate::http::url::AppUrl;
use crate::metrics::mapping::Metric;

/// What is read, and how it is translated.
pub(crate) struct Target {
    pub(crate) client: PageClient,
    pub(crate) mapping: Mapping,
}

/// How pages become metrics.
pub(crate) enum Mapping {
    /// The four fields of the classic page.
    Classic,
    /// As a configuration says.
    Configured(Vec<Metric>),
}

/// The target in effect. When its files change it is made anew; when they are broken the last good one stays.
pub(crate) struct TargetLoader {
    url: AppUrl,
    /// The file and its module.
    config: Option<(PathBuf, String)>,
    state: Mutex<LoadedTarget>,
    /// Held by who looks at the files, which may take long; the state is locked for moments only.
    loading: Mutex<()>,
}

struct LoadedTarget {
    target: Arc<Target>,
    files: Arc<Files>,
    last_success: SystemTime,
    /// FailureReason the last load failed; it is tried again at every read, since a file that was missing may come.
    fault: Option<String>,
}

impl TargetLoader {
    /// Reads the configuration, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, or with a file that it names.
    pub(crate) fn load(url: AppUrl, config: Option<(PathBuf, String)>) -> Result<Self> {
        let (target, files) = load(&url, config.as_ref())?;
        let state = LoadedTarget::new(target, files);
        Ok(Self { url, config, state: Mutex::new(state), loading: Mutex::default() })
    }

    /// The target, where there are no files that could change it.
    pub(crate) fn unchanging(&self) -> Option<Arc<Target>> {
        self.config.is_none().then(|| self.lock().target.clone())
    }

    /// The target, made anew if its files have changed.
    pub(crate) fn up_to_date(&self) -> Arc<Target> {
        if self.config.is_some()
            && let Ok(_loading) = self.loading.try_lock()
        {
            let (files, failed) = {
                let state = self.lock();
                (state.files.clone(), state.fault.is_some())
            };
            if failed || files.changed() {
                self.load_again();
            }
        }
        self.lock().target.clone()
    }

    /// Reads the configuration again, changed or not.
    pub(crate) fn reload(&self) {
        if self.config.is_some() {
            let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner); // it guards nothing
            self.load_again();
        }
    }

    /// How the last load went; nothing without a configuration.
    pub(crate) fn reloaded(&self) -> Option<Reloaded> {
        self.config.as_ref()?;
        let state = self.lock();
        Some(Reloaded { successful: state.fault.is_none(), last_success: state.last_success })
    }

    fn load_again(&self) {
        let loaded = load(&self.url, self.config.as_ref());
        let mut state = self.lock();
        match loaded {
            Ok((target, files)) => {
                *state = LoadedTarget::new(target, files);
                tracing::info!("configuration loaded");
            }
            Err(error) => {
                let error = format!("{error:#}");
                if state.fault.as_ref() != Some(&error) {
                    tracing::error!(error, "cannot load the configuration; the last good one stays in effect");
                }
                state.fault = Some(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LoadedTarget> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // it is replaced as a whole
    }
}

impl LoadedTarget {
    fn new(target: Target, files: Files) -> Self {
        Self { target: Arc::new(target), files: Arc::new(files), last_success: SystemTime::now(), fault: None }
    }
}

fn load(url: &AppUrl, config: Option<&(PathBuf, String)>) -> Result<(Target, Files)> {
    let Some((path, module)) = config else {
        let client = PageClient::new(url, &[String::new()], RequestSettings::default())?;
        return Ok((Target { client, mapping: Mapping::Classic }, Files::default()));
    };
    let module = config::load(path, module)?;
    for warning in module.warnings {
        tracing::warn!(warning, "configuration");
    }
    let client = PageClient::new(url, &module.pages, module.request)?;
    Ok((Target { client, mapping: Mapping::Configured(module.metrics) }, module.files))
}
