//! One scrape: every collector at once, each under the deadline, and what the exporter says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::exposition::Exposition;
use crate::family::Family;
use crate::process;
use crate::source::{Answer, Source};

/// The collectors of one exporter, and what goes into every answer beside theirs.
pub(crate) struct Exporter {
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) build_info: Arc<Family>,
    pub(crate) process_metrics: bool,
    /// `--scrape.timeout`.
    pub(crate) timeout: Duration,
    pub(crate) duplicates: AtomicU64,
}

impl Exporter {
    /// Asks every collector at once; true if all of them succeeded.
    pub(crate) async fn scrape(&self, budget: Duration) -> (Exposition, bool) {
        let deadline = Instant::now() + budget.min(self.timeout);
        let answers = join_all(self.sources.iter().map(|source| source.scrape(deadline, self.timeout))).await;
        let mut families: Vec<_> = about(&answers).into_iter().map(Arc::new).collect();
        families.push(self.build_info.clone());
        if self.process_metrics {
            families.extend(process::families().into_iter().map(Arc::new));
        }
        let success = answers.iter().all(|answer| answer.success);
        families.extend(answers.into_iter().flat_map(|answer| answer.families));
        let mut exposition = Exposition::merge(families);
        let before = self.duplicates.fetch_add(exposition.duplicates, Ordering::Relaxed);
        exposition.insert(
            Family::counter(
                "exporter_duplicate_series_total",
                "Series left out since the start because an earlier one had the same name and labels.",
                &[],
            )
            .value(before + exposition.duplicates),
        );
        (exposition, success)
    }
}

/// Success, duration and last success of every collector.
fn about(answers: &[Answer]) -> Vec<Family> {
    let mut success = Family::gauge(
        "exporter_scrape_success",
        "Whether the collector read everything that its source has.",
        &["collector"],
    );
    let mut duration = Family::gauge(
        "exporter_scrape_duration_seconds",
        "How long the read took that the collector's metrics come from.",
        &["collector"],
    );
    let mut last_success = Family::gauge(
        "exporter_last_success_timestamp_seconds",
        "When the collector last succeeded, in seconds since the epoch; absent before the first time.",
        &["collector"],
    );
    let mut families = Vec::new();
    for answer in answers {
        let value = f64::from(u8::from(answer.success));
        success.push(&[answer.collector], value);
        duration.push(&[answer.collector], answer.duration.as_secs_f64());
        if let Some(since) = answer.last_success.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            last_success.push(&[answer.collector], since.as_secs_f64());
        }
        if let Some(name) = answer.success_metric {
            let help = format!("The same as exporter_scrape_success{{collector=\"{}\"}}.", answer.collector);
            families.push(Family::gauge(name, help, &[]).value(value));
        }
    }
    families.extend([success, duration, last_success]);
    families
}
