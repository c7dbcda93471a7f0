//! One scrape: queries all collectors concurrently, and adds the exporter's own metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::source::{CollectorResponse, Deadline, Source};
use crate::config::reload::{self, ReloadStatus};
use crate::exposition::Exposition;
use crate::exposition::escaping::Escaping;
use crate::exposition::family::Family;
use crate::process;

/// The collectors of an exporter, and the additional metrics of every response.
pub(crate) struct Exporter {
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) build_info: Arc<Family>,
    /// The exporter's own metrics, unless they are disabled.
    pub(crate) own_metrics: Option<Box<dyn Fn() -> Vec<Family> + Send + Sync>>,
    /// The status of the web configuration, if there is one.
    pub(crate) web_reload: Box<dyn Fn() -> Option<ReloadStatus> + Send + Sync>,
    pub(crate) web_metrics: Box<dyn Fn() -> Vec<Family> + Send + Sync>,
    /// `--scrape.timeout`.
    pub(crate) timeout: Duration,
    pub(crate) duplicates: AtomicU64,
}

impl Exporter {
    /// Queries the selected collectors concurrently. Returns the metrics, and whether all collectors succeeded.
    pub(crate) async fn scrape(
        &self,
        wanted: &ScrapeFilter,
        budget: Duration,
        escaping: Escaping,
    ) -> (Exposition, bool) {
        let deadline = Deadline::at(Instant::now() + budget.min(self.timeout));
        let responses = join_all(self.wanted(wanted).map(|source| source.scrape(&deadline, self.timeout))).await;
        let mut families: Vec<_> = about(&responses).into_iter().map(Arc::new).collect();
        families.extend(reload::families(self.reload_statuses()).into_iter().map(Arc::new));
        families.extend((self.web_metrics)().into_iter().map(Arc::new));
        families.push(self.build_info.clone());
        if let Some(own_metrics) = &self.own_metrics {
            families.extend(process::families().into_iter().map(Arc::new));
            families.extend(own_metrics().into_iter().map(Arc::new));
        }
        let success = responses.iter().all(|response| response.success);
        families.extend(responses.into_iter().flat_map(|response| response.families));
        escaping.apply(&mut families);
        let mut exposition = Exposition::merge(families);
        let before = self.duplicates.fetch_add(exposition.duplicates, Ordering::Relaxed);
        let mut duplicates = [Arc::new(
            Family::counter(
                "exporter_duplicate_series_total",
                "Total number of series dropped as duplicates of an earlier series with the same name and labels.",
                &[],
            )
            .value(before + exposition.duplicates),
        )];
        escaping.apply(&mut duplicates);
        let [duplicates] = duplicates;
        exposition.insert(duplicates);
        if !wanted.names.is_empty() {
            exposition.groups.retain(|group| wanted.names.iter().any(|name| name == group.head().name()));
        }
        (exposition, success)
    }

    /// The status of each configuration's last load.
    pub(crate) fn reload_statuses(&self) -> impl Iterator<Item = ReloadStatus> {
        self.sources.iter().filter_map(|source| source.last_reload()).chain((self.web_reload)())
    }

    fn wanted<'a>(&'a self, wanted: &'a ScrapeFilter) -> impl Iterator<Item = &'a Arc<Source>> {
        self.sources.iter().filter(|source| !wanted.excluded.iter().any(|name| *name == source.name()))
    }
}

/// The collectors and families that a scrape selects; by default all.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ScrapeFilter {
    /// The excluded collectors.
    excluded: Vec<String>,
    /// The selected families; empty for all.
    names: Vec<String>,
}

impl ScrapeFilter {
    /// Parses `collect[]=NAME`, `exclude[]=NAME` and `name[]=FAMILY` of a query. Other parameters are ignored.
    ///
    /// # Errors
    /// A parameter names an unknown collector, or the query has both `collect[]` and `exclude[]`.
    pub(crate) fn parse(query: &str, collectors: &[&str]) -> Result<Self, String> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let values = |key: &'static str| pairs.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value);
        let (collect, exclude): (Vec<_>, Vec<_>) = (values("collect[]").collect(), values("exclude[]").collect());
        if !collect.is_empty() && !exclude.is_empty() {
            return Err("Combined collect and exclude queries are not allowed.".to_owned());
        }
        if let Some(unknown) =
            collect.iter().chain(&exclude).find(|name| !collectors.iter().any(|known| known == **name))
        {
            return Err(format!(
                "Collector {unknown:?} is unknown or disabled; the enabled collectors are {}.",
                collectors.join(", ")
            ));
        }
        let excluded = collectors.iter().filter(|name| {
            if collect.is_empty() {
                exclude.iter().any(|out| *out == **name)
            } else {
                !collect.iter().any(|own| *own == **name)
            }
        });
        let excluded = excluded.map(|name| (*name).to_owned());
        Ok(Self { excluded: excluded.collect(), names: values("name[]").map(|name| name.to_string()).collect() })
    }
}

/// Success, duration and last success of every collector.
fn about(responses: &[CollectorResponse]) -> Vec<Family> {
    let mut success = Family::gauge(
        "exporter_scrape_success",
        "Whether the collector's last read succeeded completely (1 = yes).",
        &["collector"],
    );
    let mut duration = Family::gauge(
        "exporter_scrape_duration_seconds",
        "Duration of the collector's last read in seconds.",
        &["collector"],
    );
    let mut last_success = Family::gauge(
        "exporter_last_success_timestamp_seconds",
        "Unix time of the collector's last successful read in seconds; absent before the first one.",
        &["collector"],
    );
    let mut families = Vec::new();
    for response in responses {
        let value = f64::from(u8::from(response.success));
        success.push(&[&response.collector], value);
        duration.push(&[&response.collector], response.duration.as_secs_f64());
        if let Some(since) = response.last_success.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            last_success.push(&[&response.collector], since.as_secs_f64());
        }
        if let Some(name) = &response.success_metric {
            let help = format!("Same as exporter_scrape_success{{collector=\"{}\"}}.", response.collector);
            families.push(Family::gauge(name.clone(), help, &[]).value(value));
        }
    }
    families.extend([success, duration, last_success]);
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTORS: &[&str] = &["cpu", "stat", "loadavg"];

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_query_selects_collectors_and_families() {
        for (query, excluded, names) in [
            ("", &[][..], &[][..]),
            ("collect[]=cpu&collect%5B%5D=stat", &["loadavg"], &[]),
            ("exclude[]=cpu", &["cpu"], &[]),
            ("exclude[]=cpu&exclude[]=stat&exclude[]=loadavg", COLLECTORS, &[]),
            ("name[]=a_total&name[]=b&other=1", &[], &["a_total", "b"]),
        ] {
            let wanted = ScrapeFilter::parse(query, COLLECTORS).unwrap();
            assert_eq!((wanted.excluded, wanted.names), (owned(excluded), owned(names)), "{query}");
        }
    }

    #[test]
    fn an_invalid_query_is_rejected() {
        for query in ["collect[]=nope", "exclude[]=nope", "collect[]=", "collect[]=cpu&exclude[]=stat", "collect[]=%ff"]
        {
            assert!(ScrapeFilter::parse(query, COLLECTORS).is_err(), "{query}");
        }
    }
}
