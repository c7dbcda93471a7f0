//! Reads /proc/stat once for all collectors that need it at the same time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::blocking;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::file::read_into;

/// The file and its read in progress.
#[derive(Debug)]
pub(crate) struct StatFile {
    path: PathBuf,
    reading: Mutex<Option<Reading>>,
}

/// The content, shared by all collectors that wait for it.
type Content = std::result::Result<Arc<Vec<u8>>, Arc<anyhow::Error>>;

/// A read that has started.
#[derive(Clone, Debug)]
struct Reading {
    finished: Arc<AtomicBool>,
    content: Shared<BoxFuture<'static, Content>>,
}

/// Size limit: about 100 bytes for each of at most 8,192 CPUs, plus a number for each interrupt.
const LIMIT: u64 = 2 << 20;

impl StatFile {
    pub(crate) fn new(procfs: &Path) -> Self {
        Self { path: procfs.join("stat"), reading: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content of the file. Joins the read in progress: one that hangs is never started a second time. A finished
    /// read is never used again: its content would be older than the request.
    pub(crate) async fn read(&self) -> Result<Arc<Vec<u8>>> {
        let content = self.join().content.await;
        content.map_err(|error| anyhow!("{error:#}"))
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
        let (path, done) = (self.path.clone(), finished.clone());
        // The read counts as finished when the serving thread learns of it, not when the blocking thread has it. By then,
        // all collectors of the scrape have joined, since their tasks are ahead in the queue. A separate task does so
        // even if all collectors have left.
        let task = tokio::spawn(async move {
            let content = blocking(move || read(&path)).await;
            done.store(true, Ordering::Release);
            content
        });
        let content = async move { task.await.context("the read panicked").flatten().map(Arc::new).map_err(Arc::new) };
        Reading { finished, content: content.boxed().shared() }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if !read_into(&mut bytes, LIMIT, path)? {
        bail!("{} is missing: is procfs mounted?", path.display());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn concurrent_reads_share_the_content_and_later_ones_are_new() {
        let procfs = tempfile::tempdir().unwrap();
        std::fs::write(procfs.path().join("stat"), "cpu0 1\n").unwrap();
        let stat = StatFile::new(procfs.path());
        let (first, second) = tokio::join!(stat.read(), stat.read());
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        std::fs::write(procfs.path().join("stat"), "cpu0 2\n").unwrap();
        assert_eq!(**stat.read().await.unwrap(), *b"cpu0 2\n");
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_for_every_reader() {
        let procfs = tempfile::tempdir().unwrap();
        let stat = StatFile::new(procfs.path());
        let (first, second) = tokio::join!(stat.read(), stat.read());
        for error in [first, second] {
            assert!(error.unwrap_err().to_string().ends_with("stat is missing: is procfs mounted?"));
        }
    }
}
