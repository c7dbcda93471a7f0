//! The configuration in effect: the pages to read and their mapping. It is reloaded when its files change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use exporter_common::reload::{Files, ReloadStatus};

use crate::config;
use crate::formats::PageFormat;
use crate::http::file::FileReads;
use crate::http::page::PageClient;
use crate::http::settings::RequestSettings;
use crate::http::url::AppUrl;
use crate::metrics::metric::Metric;

/// The pages to read, and their mapping to metrics.
pub(crate) struct Target {
    pub(crate) client: PageClient,
    pub(crate) format: PageFormat,
    pub(crate) mapping: Mapping,
}

/// How pages become metrics.
pub(crate) enum Mapping {
    /// The four fields of the classic page.
    Classic,
    /// The metrics of a configuration.
    Configured(Vec<Metric>),
}

/// Loads the target, and reloads it when its files change. If a reload fails, the last valid target stays in effect.
pub(crate) struct TargetLoader {
    url: AppUrl,
    config: Option<ConfigFlags>,
    file_reads: FileReads,
    loaded: Mutex<LoadedTarget>,
    /// Locked while files are read, which can take long. `loaded` is locked only for moments.
    loading: Mutex<()>,
}

/// The flags of the configuration.
pub(crate) struct ConfigFlags {
    pub(crate) file: PathBuf,
    pub(crate) module: String,
    /// Whether the exporter exports its own process metrics.
    pub(crate) process_metrics: bool,
}

struct LoadedTarget {
    target: Arc<Target>,
    files: Arc<Files>,
    last_success: SystemTime,
    /// Why the last load failed. Then every read tries again, because a missing file may appear.
    error: Option<String>,
}

impl TargetLoader {
    /// Loads the configuration, if there is one.
    ///
    /// # Errors
    /// The configuration, or a file that it names, is invalid.
    pub(crate) fn load(url: AppUrl, config: Option<ConfigFlags>) -> Result<Self> {
        let file_reads = FileReads::default();
        let (target, files) = load(&url, config.as_ref(), &file_reads)?;
        let loaded = Mutex::new(LoadedTarget::new(target, files));
        Ok(Self { url, config, file_reads, loaded, loading: Mutex::default() })
    }

    /// The target, if no file can change it.
    pub(crate) fn fixed(&self) -> Option<Arc<Target>> {
        self.config.is_none().then(|| self.lock().target.clone())
    }

    /// The target, reloaded if its files have changed.
    pub(crate) fn up_to_date(&self) -> Arc<Target> {
        if self.config.is_some()
            && let Ok(_loading) = self.loading.try_lock()
        {
            let (files, failed) = {
                let loaded = self.lock();
                (loaded.files.clone(), loaded.error.is_some())
            };
            if failed || files.changed() {
                self.load_again();
            }
        }
        self.lock().target.clone()
    }

    /// Reloads the configuration, even if it has not changed.
    pub(crate) fn reload(&self) {
        if self.config.is_some() {
            let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner); // it protects no data
            self.load_again();
        }
    }

    /// The result of the last load; `None` without a configuration.
    pub(crate) fn reload_status(&self) -> Option<ReloadStatus> {
        self.config.as_ref()?;
        let loaded = self.lock();
        Some(ReloadStatus::new(loaded.error.is_none(), loaded.last_success))
    }

    fn load_again(&self) {
        let result = load(&self.url, self.config.as_ref(), &self.file_reads);
        let mut loaded = self.lock();
        match result {
            Ok((target, files)) => {
                *loaded = LoadedTarget::new(target, files);
                tracing::info!("configuration loaded");
            }
            Err(error) => {
                let error = format!("{error:#}");
                if loaded.error.as_ref() != Some(&error) {
                    tracing::error!(error, "cannot load the configuration; the last valid one stays in effect");
                }
                loaded.error = Some(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LoadedTarget> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner) // it is always replaced as a whole
    }
}

impl LoadedTarget {
    fn new(target: Target, files: Files) -> Self {
        Self { target: Arc::new(target), files: Arc::new(files), last_success: SystemTime::now(), error: None }
    }
}

fn load(url: &AppUrl, config: Option<&ConfigFlags>, file_reads: &FileReads) -> Result<(Target, Files)> {
    let Some(flags) = config else {
        let client = PageClient::new(url, &[String::new()], RequestSettings::default(), file_reads.clone())?;
        return Ok((Target { client, format: PageFormat::JSON, mapping: Mapping::Classic }, Files::default()));
    };
    let module = config::load(&flags.file, &flags.module, flags.process_metrics)?;
    for warning in module.warnings {
        tracing::warn!(warning, "configuration");
    }
    let client = PageClient::new(url, &module.pages, module.request, file_reads.clone())?;
    Ok((Target { client, format: module.format, mapping: Mapping::Configured(module.metrics) }, module.files))
}
