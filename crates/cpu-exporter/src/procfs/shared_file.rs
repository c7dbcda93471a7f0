//! Reads a file once for all collectors that need it at the same time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use exporter_common::blocking;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::file::read_into;

/// A read that takes longer is not waited for by later scrapes that can do without the file.
const PATIENCE: Duration = Duration::from_millis(100);

/// The file and its read in progress.
#[derive(Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    limit: u64,
    reading: Mutex<Option<Reading>>,
}

/// The content, shared by all collectors that wait for it; `None` if this host does not have the file.
type Content = std::result::Result<Option<Arc<Vec<u8>>>, Arc<anyhow::Error>>;

/// A read that has started.
#[derive(Clone, Debug)]
struct Reading {
    started: Instant,
    finished: Arc<AtomicBool>,
    content: Shared<BoxFuture<'static, Content>>,
}

impl SharedFile {
    pub(crate) fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, reading: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content of the file. Joins the read in progress: one that hangs is never started a second time. A finished
    /// read is never used again: its content would be older than the request.
    pub(crate) async fn read(&self) -> Result<Option<Arc<Vec<u8>>>> {
        let content = self.join().content.await;
        content.map_err(|error| anyhow!("{error:#}"))
    }

    /// The content; `None` also if it cannot be read, or if the read of an earlier scrape hangs.
    pub(crate) async fn read_unless_it_hangs(&self) -> Option<Arc<Vec<u8>>> {
        let reading = self.join();
        if reading.started.elapsed() > PATIENCE {
            return None;
        }
        reading.content.await.ok().flatten()
    }

    /// The content of a file that every host has in procfs.
    pub(crate) async fn require(&self) -> Result<Arc<Vec<u8>>> {
        self.read().await?.with_context(|| format!("{} is missing: is procfs mounted?", self.path.display()))
    }

    fn join(&self) -> Reading {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = &*reading
            && !reading.finished.load(Ordering::Acquire)
        {
            return reading.clone();
        }
        reading.insert(self.start()).clone()
    }

    fn start(&self) -> Reading {
        let finished = Arc::new(AtomicBool::new(false));
        let (path, limit, done) = (self.path.clone(), self.limit, finished.clone());
        // The read counts as finished when this task runs again. By then, all collectors of the scrape have joined, since
        // their tasks are ahead in the queue. A separate task does so even if all collectors have left.
        let task = tokio::spawn(async move {
            let content = blocking(move || {
                let mut bytes = Vec::new();
                Ok(read_into(&mut bytes, limit, &path)?.then(|| Arc::new(bytes)))
            })
            .await;
            done.store(true, Ordering::Release);
            content
        });
        let content = async move { task.await.context("the read panicked").flatten().map_err(Arc::new) };
        Reading { started: Instant::now(), finished, content: content.boxed().shared() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn concurrent_reads_share_the_content_and_later_ones_are_new() {
        let procfs = tempfile::tempdir().unwrap();
        std::fs::write(procfs.path().join("stat"), "cpu0 1\n").unwrap();
        let stat = SharedFile::new(procfs.path().join("stat"), 1024);
        let (first, second) = tokio::join!(stat.require(), stat.require());
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        std::fs::write(procfs.path().join("stat"), "cpu0 2\n").unwrap();
        assert_eq!(**stat.require().await.unwrap(), *b"cpu0 2\n");
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_for_every_reader() {
        let procfs = tempfile::tempdir().unwrap();
        let stat = SharedFile::new(procfs.path().join("stat"), 1024);
        let (first, second) = tokio::join!(stat.require(), stat.require());
        for error in [first, second] {
            assert!(error.unwrap_err().to_string().ends_with("stat is missing: is procfs mounted?"));
        }
    }
}
