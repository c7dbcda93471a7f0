//! A collector of node_exporter, which consists of one or more of ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use exporter_common::{Collector, Family, Faults, Part, Scrape, Source, async_trait};
use futures_util::future::join_all;

/// Runs its parts concurrently, and exports node_exporter's metrics about their read.
pub(crate) struct NodeCollector {
    name: &'static str,
    /// Each may hang without delaying the others.
    parts: Vec<(Box<dyn Collector>, Part)>,
    last: Mutex<Option<LastRead>>,
}

/// The last read, which may still be running.
struct LastRead {
    started: Instant,
    /// Duration and success.
    finished: Option<(Duration, bool)>,
}

impl NodeCollector {
    /// The source of a collector with these parts.
    pub(crate) fn source(name: &'static str, parts: Vec<Box<dyn Collector>>) -> Source {
        let parts = parts.into_iter().map(|part| (part, Part::default())).collect();
        let collector = Arc::new(Self { name, parts, last: Mutex::new(None) });
        Source::new(collector.clone()).persistent_families(move || collector.about())
    }

    fn set_last(&self, started: Instant, finished: Option<(Duration, bool)>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastRead { started, finished });
    }

    /// node_exporter's metrics about the last read.
    fn about(&self) -> Vec<Family> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(LastRead { started, finished }) = &*last else { return Vec::new() };
        let (duration, success) = finished.unwrap_or_else(|| (started.elapsed(), false));
        vec![
            Family::gauge(
                "node_scrape_collector_duration_seconds",
                "node_exporter: Duration of a collector scrape.",
                &["collector"],
            )
            .with(&[self.name], duration.as_secs_f64()),
            Family::gauge(
                "node_scrape_collector_success",
                "node_exporter: Whether a collector succeeded.",
                &["collector"],
            )
            .with(&[self.name], f64::from(u8::from(success))),
        ]
    }
}

#[async_trait]
impl Collector for NodeCollector {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let started = Instant::now();
        self.set_last(started, None);
        let mut faults = Faults::default();
        let reads = self.parts.iter().map(|(collector, part)| async { collector.collect(&scrape.part(part)?).await });
        for result in join_all(reads).await {
            faults.keep(result);
        }
        self.set_last(started, Some((started.elapsed(), faults.is_empty())));
        faults.result()
    }
}
