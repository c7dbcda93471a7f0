//! The collector: reads all pages of the application concurrently and maps each one to metrics.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use exporter_common::reload::ReloadStatus;
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};
use futures_util::future::join_all;

use crate::http::page::Page;
use crate::json::document::{Document, DocumentError};
use crate::metrics::classic::{self, ClassicStatus};
use crate::metrics::failures::{FailureCounters, FailureReason, LostSeries, ReadError};
use crate::metrics::mapping;
use crate::target::{Mapping, Target, TargetLoader};

/// The status pages of one application.
pub(crate) struct AppStatus {
    loader: Arc<TargetLoader>,
    failures: FailureCounters,
}

impl AppStatus {
    pub(crate) fn new(loader: TargetLoader) -> Self {
        Self { loader: Arc::new(loader), failures: FailureCounters::default() }
    }
}

#[async_trait]
impl Collector for AppStatus {
    fn name(&self) -> &'static str {
        "app_status"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let attempt = self.failures.start_read();
        let target = match self.loader.fixed() {
            Some(target) => target,
            None => {
                let loader = self.loader.clone();
                scrape.blocking(move || loader.up_to_date()).await
            }
        };
        // the rest of the time is for reporting the error
        let limit = scrape.time_left().mul_f64(0.95);
        let deadline = Instant::now() + limit;
        let pages = join_all((0..target.client.pages()).map(|page| target.client.fetch(page, limit))).await;
        let mut faults = Faults::default();
        let mut reason = None;
        for (page, fetched) in pages.into_iter().enumerate() {
            let mut page_faults = Faults::default();
            let mapped = match fetched {
                Ok(fetched) => map(&target, page, &fetched, deadline).await,
                Err(error) => Err(error),
            };
            match mapped {
                Ok((families, lost)) => {
                    families.into_iter().for_each(|family| scrape.add(family));
                    for lost in lost {
                        reason.get_or_insert(FailureReason::Incomplete);
                        self.failures.count_lost(&lost);
                        page_faults.note(anyhow::Error::msg(match lost.count {
                            1 => lost.message,
                            count => format!("{} ({} more of this kind)", lost.message, count - 1),
                        }));
                    }
                }
                Err(error) => {
                    reason.get_or_insert(error.reason);
                    page_faults.note(error.error);
                }
            }
            faults.keep(page_faults.result().with_context(|| target.client.display_url(page).to_owned()));
        }
        attempt.finish(reason);
        faults.result()
    }

    fn kept(&self) -> Vec<Family> {
        self.failures.families()
    }

    async fn reload(&self) {
        let loader = self.loader.clone();
        let _ = tokio::task::spawn_blocking(move || loader.reload()).await; // it does not panic
    }

    fn reloaded(&self) -> Option<ReloadStatus> {
        self.loader.reloaded()
    }
}

/// Parses a page and maps it to families, and to the series that it lacks.
async fn map(
    target: &Target,
    page: usize,
    fetched: &Page,
    deadline: Instant,
) -> Result<(Vec<Family>, Vec<LostSeries>), ReadError> {
    let text = String::from_utf8_lossy(&fetched.body);
    let document = Document::parse(&text).map_err(|error| {
        let error = ReadError::from(error);
        match fetched.error_status {
            None => error,
            // usually the page of a proxy
            Some(status) => ReadError { error: error.error.context(format!("response status {status}")), ..error },
        }
    })?;
    match &target.mapping {
        Mapping::Classic => {
            let incomplete = |error| ReadError { reason: FailureReason::Incomplete, error };
            Ok(classic::families(ClassicStatus::read(&document).map_err(incomplete)?))
        }
        Mapping::Configured(metrics) => mapping::families(metrics, page, &document, deadline).await,
    }
}

impl From<DocumentError> for ReadError {
    fn from(error: DocumentError) -> Self {
        let reason = match error {
            DocumentError::NotJson(_) => FailureReason::NotJson,
            DocumentError::TooDeep => FailureReason::TooDeep,
            DocumentError::TooManyValues(_) => FailureReason::TooLarge,
        };
        Self { reason, error: error.into() }
    }
}
