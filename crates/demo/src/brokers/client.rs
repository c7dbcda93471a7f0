//! The operations that `demo jobs` needs from a broker.

use anyhow::Result;

/// A connection to a broker, used by one producer or worker of one queue.
pub(crate) trait Client: Sized {
    /// A job received from the broker.
    type Job;
    /// Default port of the broker.
    const PORT: u16;

    /// Connects and creates the queue if it does not exist.
    async fn connect(address: &str, queue: &str) -> Result<Self>;
    /// Adds a job and waits until the broker has stored it.
    async fn add(&mut self) -> Result<()>;
    /// Waits for the next job; `None` if none arrives for a while.
    async fn take(&mut self) -> Result<Option<Self::Job>>;
    /// Reports to the broker whether a job succeeded. Returns the number of failed jobs that the broker requeued.
    async fn settle(&mut self, job: Self::Job, succeeded: bool) -> Result<u64>;
}
