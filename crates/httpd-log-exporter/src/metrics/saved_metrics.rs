//! Hands scrapes the metrics that are in the state file, so that no counter decreases if the exporter is killed afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exporter_common::Family;
use tokio::sync::watch;

/// The metrics of the last state that was saved for a scrape.
#[derive(Clone, Debug)]
pub(crate) struct SavedMetrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The number of scrapes that requested a state.
    requests: AtomicU64,
    /// Wakes the thread that saves the state.
    wake: Mutex<Option<SyncSender<()>>>,
    saved: watch::Sender<Saved>,
}

/// Metrics, and how many requests they fulfill.
#[derive(Debug)]
struct Saved {
    requests: u64,
    families: Arc<[Family]>,
}

impl SavedMetrics {
    /// Nothing is saved yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            requests: AtomicU64::new(0),
            wake: Mutex::default(),
            saved: watch::Sender::new(Saved { requests: 0, families: [].into() }),
        }))
    }

    /// Sets what wakes the thread that saves the state.
    pub(crate) fn set_wake(&self, wake: SyncSender<()>) {
        *self.0.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Requests a state, and waits until it is saved. After `patience` the last metrics are returned as an error.
    pub(crate) async fn request(&self, patience: Duration) -> Result<Arc<[Family]>, Arc<[Family]>> {
        let mut saved = self.0.saved.subscribe();
        let request = self.0.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(wake) = &*self.0.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = wake.try_send(()); // full: a wakeup is already pending
        }
        let fulfilled = saved.wait_for(|saved| saved.requests >= request);
        match tokio::time::timeout(patience, fulfilled).await {
            Ok(Ok(saved)) => Ok(saved.families.clone()),
            _ => Err(self.0.saved.borrow().families.clone()),
        }
    }

    /// The number of requests.
    pub(crate) fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Whether some requests are not fulfilled.
    pub(crate) fn is_requested(&self) -> bool {
        self.requests() > self.0.saved.borrow().requests
    }

    /// Fulfills requests with the metrics of a saved state.
    pub(crate) fn fulfill(&self, requests: u64, families: Vec<Family>) {
        self.0.saved.send_replace(Saved { requests, families: families.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scrape_gets_metrics_that_were_saved_after_it_began() {
        let metrics = SavedMetrics::new();
        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        metrics.set_wake(wake);
        let saver = std::thread::spawn({
            let metrics = metrics.clone();
            move || {
                woken.recv().unwrap();
                assert!(metrics.is_requested());
                metrics.fulfill(metrics.requests(), vec![Family::counter("a_total", "A.", &[]).value(7_u64)]);
                assert!(!metrics.is_requested());
            }
        });
        assert_eq!(metrics.request(Duration::from_secs(30)).await.unwrap().len(), 1);
        saver.join().unwrap();
        let late = metrics.request(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(late.len(), 1, "the last ones, marked as late");
        assert!(metrics.is_requested());
    }
}
