//! The collector: reads the pages of the application concurrently, each with its own deadline, and maps them to metrics.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use exporter_common::{Collection, Collector, Family, Faults, Scrape, Source, async_trait};
use futures_util::future::join_all;

use crate::json::document::DocumentError;
use crate::metrics::classic::{self, ClassicStatus};
use crate::metrics::failures::{FailureCounters, FailureReason, ReadError};
use crate::metrics::mapping::{self, MappedPage, SeriesIndex};
use crate::metrics::metric::Metric;
use crate::target::{Mapping, Target, TargetLoader};

/// The status pages of one application.
pub(crate) struct AppStatus {
    loader: Arc<TargetLoader>,
    failures: FailureCounters,
}

impl AppStatus {
    /// The pages of a target.
    pub(crate) fn new(loader: Arc<TargetLoader>) -> Self {
        Self { loader, failures: FailureCounters::default() }
    }

    /// The source, which is read as `collection` says.
    pub(crate) fn source(loader: TargetLoader, collection: Collection) -> Source {
        let loader = Arc::new(loader);
        let app_status = Arc::new(Self::new(loader.clone()));
        let (failing, reloading) = (app_status.clone(), loader.clone());
        Source::new(app_status)
            .collected(collection)
            .persistent_families(move || failing.failures.families())
            .reload(move || reloading.reload())
            .reload_status(move || loader.reload_status())
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
        let hasher = RandomState::new();
        let pages = join_all((0..target.client.pages()).map(|page| read(&target, page, limit, &hasher))).await;
        let mut errors = Vec::new();
        let mut first_reason = None;
        let mut series = SeriesIndex::new(hasher.clone());
        let metrics = match &target.mapping {
            Mapping::Classic => &[][..],
            Mapping::Configured(metrics) => metrics,
        };
        let mut success = Family::gauge(
            "app_status_page_success",
            "Whether the last read of the page succeeded completely (1 = yes). Only with several pages.",
            &["page"],
        );
        for (page, mapped) in pages.into_iter().enumerate() {
            let result = mapped.and_then(|mapped| self.add(scrape, mapped, &mut series, metrics));
            success.push(&[target.client.page_name(page)], f64::from(u8::from(result.is_ok())));
            if let Err(error) = result {
                first_reason.get_or_insert(error.reason);
                errors.push(error.error.context(target.client.display_url(page).to_owned()));
            }
        }
        if target.client.pages() > 1 {
            scrape.add(success);
        }
        attempt.finish(first_reason);
        combined(errors)
    }
}

impl AppStatus {
    /// Adds the families of a page. Fails if the page lacks series.
    fn add(
        &self,
        scrape: &Scrape,
        mut mapped: MappedPage,
        series: &mut SeriesIndex,
        metrics: &[Metric],
    ) -> Result<(), ReadError> {
        mapped.lost.extend(series.merge(mapped.series, metrics));
        mapped.families.into_iter().for_each(|family| scrape.add(family));
        let mut faults = Faults::default();
        for lost in mapped.lost {
            self.failures.count_lost(&lost);
            faults.note(anyhow::Error::msg(match lost.count {
                1 => lost.message,
                count => format!("{} ({} more of this kind)", lost.message, count - 1),
            }));
        }
        faults.result().map_err(|error| ReadError { reason: FailureReason::Incomplete, error })
    }
}

/// Requests a page and maps it, within the time limit of this page: a page that hangs does not affect the others.
async fn read(target: &Target, page: usize, limit: Duration, hasher: &RandomState) -> Result<MappedPage, ReadError> {
    let deadline = Instant::now() + limit;
    let fetched = target.client.fetch(page, limit).await?;
    let text = String::from_utf8_lossy(&fetched.body);
    let document = target.format.parse(&text).map_err(|error| {
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
            let (families, lost) = classic::families(ClassicStatus::read(&document).map_err(incomplete)?);
            Ok(MappedPage { families, lost, series: SeriesIndex::new(hasher.clone()) })
        }
        Mapping::Configured(metrics) => mapping::map(metrics, page, &document, deadline, hasher).await,
    }
}

/// The errors of all pages as one.
fn combined(mut errors: Vec<anyhow::Error>) -> Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => {
            let messages: Vec<_> = errors.iter().map(|error| format!("{error:#}")).collect();
            Err(anyhow::Error::msg(messages.join("; ")))
        }
    }
}

impl From<DocumentError> for ReadError {
    fn from(error: DocumentError) -> Self {
        let reason = match error {
            DocumentError::NotJson(_) => FailureReason::NotJson,
            DocumentError::WrongFormat(_) => FailureReason::WrongFormat,
            DocumentError::TooDeep => FailureReason::TooDeep,
            DocumentError::TooManyValues(_) => FailureReason::TooLarge,
        };
        Self { reason, error: error.into() }
    }
}
