//! Reads `file:` pages on separate threads, because a read can hang: on a FIFO without a writer, or on a mount
//! whose server is down.
//!
//! A file has at most one read in progress. Later readers wait for that read, so a file that hangs takes one thread,
//! and none of the threads for authentication and reloads.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::watch;

/// The content of a file, or why it cannot be read.
type Content = Arc<io::Result<Vec<u8>>>;

/// The reads in progress of all files. A configuration that is reloaded shares it with its predecessor.
#[derive(Clone, Default)]
pub(crate) struct FileReads(Arc<Mutex<HashMap<PathBuf, watch::Receiver<Option<Content>>>>>);

impl FileReads {
    /// Reads at most `limit` + 1 bytes of a file. If a read of the file is in progress, waits for its result.
    pub(super) async fn read(&self, path: &Path, limit: usize) -> Content {
        let mut result = match self.join_or_start(path, limit) {
            Ok(result) => result,
            Err(error) => return Arc::new(Err(error)),
        };
        let content = match result.wait_for(Option::is_some).await {
            Ok(content) => content.clone(),
            Err(_) => None, // the thread panicked
        };
        content.unwrap_or_else(|| Arc::new(Err(io::Error::other("the read failed"))))
    }

    fn join_or_start(&self, path: &Path, limit: usize) -> io::Result<watch::Receiver<Option<Content>>> {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = reads.get(path) {
            return Ok(result.clone());
        }
        let (sender, receiver) = watch::channel(None);
        let (all, own_path) = (self.0.clone(), path.to_owned());
        thread::Builder::new().name("file-page".to_owned()).spawn(move || {
            let mut content = Vec::new();
            let read = io::Result::and_then(std::fs::File::open(&own_path), |file| {
                file.take(limit as u64 + 1).read_to_end(&mut content)
            });
            // removed first: a later reader must get the content of a new read
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&own_path);
            sender.send_replace(Some(Arc::new(read.map(|_| content))));
        })?;
        reads.insert(path.to_owned(), receiver.clone());
        Ok(receiver)
    }
}
