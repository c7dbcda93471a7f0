//! Probes of many targets: `/probe?target=URL&module=NAME`, as in json_exporter, with a list of allowed targets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow, bail, ensure};
use exporter_common::{Collector, Probe, ProbeRequest, Prober, Scrape, TargetPattern, async_trait};

use crate::collector::AppStatus;
use crate::config;
use crate::http::url::AppUrl;
use crate::target::{ConfigFlags, TargetLoader};

/// The maximum number of targets with kept connections.
const MAX_TARGETS: usize = 1000;

/// The metrics that every probe has.
const RESERVED: [&str; 2] = ["probe_success", "probe_duration_seconds"];

/// Reads the pages of the targets. Each target keeps its connections and its configuration.
struct AppProber {
    file: Option<PathBuf>,
    apps: Mutex<BTreeMap<ProbeRequest, Arc<AppStatus>>>,
}

/// The probe of these targets, with all modules of a configuration. Requests without a module get the chosen one, or
/// else `default`, or else the first one.
///
/// # Errors
/// A module is invalid, or the chosen one does not exist.
pub(crate) fn probe(targets: Vec<TargetPattern>, file: Option<PathBuf>, chosen: Option<&str>) -> Result<Probe> {
    let mut modules = vec!["default".to_owned()];
    if let Some(file) = &file {
        modules = config::names(file)?;
        if let Some(chosen) = chosen {
            config::load(file, chosen, false)?; // an unknown module is an error
        }
        modules.sort_by_key(|module| module != chosen.unwrap_or("default")); // stable
        for module in &modules {
            let config = config::load(file, module, false)?;
            let mut names = config.metrics.iter().flat_map(|metric| &metric.values).map(|(name, _)| name);
            if let Some(name) = names.find(|name| RESERVED.contains(&name.as_str())) {
                bail!("{}: module {module}: {name} is a metric of the probe: choose another name", file.display());
            }
        }
        ensure!(!modules.is_empty(), "{}: no modules: write modules: and under it default:", file.display());
    }
    let prober = AppProber { file, apps: Mutex::default() };
    Ok(Probe::new(prober, targets).modules(modules))
}

#[async_trait]
impl Prober for AppProber {
    async fn probe(&self, request: &ProbeRequest, scrape: &Scrape) -> Result<()> {
        let known = self.apps().get(request).cloned();
        let app = match known {
            Some(app) => app,
            None => {
                let (url, file, module) = (url(request.target())?, self.file.clone(), request.module().to_owned());
                let config = file.map(|file| ConfigFlags { file, module, process_metrics: false });
                let loader = scrape.blocking(move || TargetLoader::load(url, config)).await?;
                self.keep(request, AppStatus::new(Arc::new(loader)))
            }
        };
        app.collect(scrape).await
    }
}

impl AppProber {
    fn keep(&self, request: &ProbeRequest, app: AppStatus) -> Arc<AppStatus> {
        let mut apps = self.apps();
        if apps.len() >= MAX_TARGETS {
            apps.clear(); // the next probes connect again
        }
        apps.entry(request.clone()).or_insert_with(|| Arc::new(app)).clone()
    }

    fn apps(&self) -> MutexGuard<'_, BTreeMap<ProbeRequest, Arc<AppStatus>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner) // always consistent
    }
}

/// The URL of a target. Targets are logged, so they have no credentials; HTTP over Unix sockets and files are not targets.
fn url(target: &str) -> Result<AppUrl> {
    match AppUrl::parse(target).map_err(|error| anyhow!("target: {error}"))? {
        AppUrl::Http(url) if url.username().is_empty() && url.password().is_none() => Ok(AppUrl::Http(url)),
        AppUrl::Http(_) => bail!("a target must not have credentials: use http_client_config in its module"),
        AppUrl::Stream { address, request } => Ok(AppUrl::Stream { address, request }),
        AppUrl::Socket { .. } | AppUrl::File(_) => bail!("a target must be an http, https, tcp or socket URL"),
    }
}
