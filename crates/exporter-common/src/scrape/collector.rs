//! The interface between the library and an exporter: a collector, and its part in a scrape.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::blocking::blocking;
use crate::exposition::family::{Family, InvalidFamily};

/// Reads a source, such as a kernel file, a page or a broker, and converts it to families.
///
/// What only some collectors need, such as background work or a reload, is set on the [`Source`](crate::Source).
///
/// ```
/// use scrapewright::{Collector, Family, Scrape, anyhow, async_trait};
///
/// struct Uptime;
///
/// #[async_trait]
/// impl Collector for Uptime {
///     fn name(&self) -> &str {
///         "uptime"
///     }
///
///     async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
///         let text = std::fs::read_to_string("/proc/uptime")?;
///         let seconds: f64 = text.split(' ').next().unwrap_or_default().parse()?;
///         scrape.add(Family::gauge("uptime_seconds", "Time since boot in seconds, from /proc/uptime.", &[]).value(seconds));
///         Ok(())
///     }
/// }
/// ```
#[async_trait::async_trait]
pub trait Collector: Send + Sync + 'static {
    /// The value of the label `collector`, and the name in `--collector.NAME`. It does not change.
    fn name(&self) -> &str;

    /// Reads the source once, and adds each family to `scrape` as soon as it is complete. Added families are
    /// exported even if the read fails later or exceeds its deadline.
    ///
    /// The read must not block for long: reads that may wait for a device use [`Scrape::blocking`].
    ///
    /// # Errors
    /// An error sets the collector's success to 0. It is logged once, when the state changes. A source that does not
    /// exist on this host is not an error: return `Ok` without adding families.
    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()>;
}

#[async_trait::async_trait]
impl<C: Collector + ?Sized> Collector for Arc<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        (**self).collect(scrape).await
    }
}

#[async_trait::async_trait]
impl<C: Collector + ?Sized> Collector for Box<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        (**self).collect(scrape).await
    }
}

/// One read of one collector: its families and its deadline.
pub struct Scrape {
    result: Arc<ScrapeResult>,
    blocked: Blocked,
}

/// What all parts of a read share.
struct ScrapeResult {
    families: Mutex<Vec<Arc<Family>>>,
    /// The first invalid family.
    invalid: OnceLock<InvalidFamily>,
    /// The latest deadline of the waiters.
    deadline: Mutex<Instant>,
}

/// A part of a collector that may hang without delaying the others: see [`Scrape::part`].
#[derive(Default)]
pub struct Part(Blocked);

impl Scrape {
    pub(crate) fn new(deadline: Instant, blocked: Blocked) -> Self {
        let result =
            ScrapeResult { families: Mutex::default(), invalid: OnceLock::new(), deadline: Mutex::new(deadline) };
        Self { result: Arc::new(result), blocked }
    }

    /// The same read for a part of the collector. Blocking work of the part does not delay the collector's next read.
    ///
    /// ```
    /// use scrapewright::{Collector, Part, Scrape, anyhow, async_trait};
    ///
    /// /// A collector that consists of two others.
    /// struct Both<A, B>((A, Part), (B, Part));
    ///
    /// #[async_trait]
    /// impl<A: Collector, B: Collector> Collector for Both<A, B> {
    ///     fn name(&self) -> &str {
    ///         "both"
    ///     }
    ///
    ///     async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
    ///         let Self((first, first_part), (second, second_part)) = self;
    ///         let first = async { first.collect(&scrape.part(first_part)?).await };
    ///         let second = async { second.collect(&scrape.part(second_part)?).await };
    ///         let (first, second) = futures_util::future::join(first, second).await;
    ///         first.and(second)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Blocking work of the part is still running from an earlier read.
    pub fn part(&self, part: &Part) -> anyhow::Result<Self> {
        anyhow::ensure!(!part.0.any(), "an earlier read is still waiting for the source");
        Ok(Self { result: self.result.clone(), blocked: part.0.clone() })
    }

    /// Extends the deadline for another waiter.
    pub(crate) fn extend(&self, deadline: Instant) {
        let mut current = self.result.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *current = deadline.max(*current);
    }

    /// Adds a family. A family without series is not exported. If the family is invalid, the read fails, but the
    /// family's valid series are exported.
    pub fn add(&self, mut family: Family) {
        if let Err(error) = family.check() {
            let _ = self.result.invalid.set(error); // the first one is reported
        }
        family.shrink();
        self.lock().push(Arc::new(family));
    }

    /// The first invalid family.
    pub(crate) fn invalid(&self) -> Option<&InvalidFamily> {
        self.result.invalid.get()
    }

    /// The time until the deadline of the last waiter. A collector that returns slightly earlier can report which part
    /// timed out.
    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    pub(crate) fn deadline(&self) -> Instant {
        *self.result.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work that may block without delaying requests, such as reading a sysfs file that queries hardware, or a file on
    /// a network. The collector's next read does not start until the work is finished.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let running = self.blocked.one_more();
        blocking(move || {
            let _running = running;
            work()
        })
        .await
    }

    /// The families added so far.
    pub(crate) fn families(&self) -> Vec<Arc<Family>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Family>>> {
        self.result.families.lock().unwrap_or_else(PoisonError::into_inner) // a Vec is always consistent
    }
}

/// The running blocking work of one collector, including earlier reads.
#[derive(Clone)]
pub(crate) struct Blocked(Arc<watch::Sender<usize>>);

/// Counts blocking work while it runs.
struct RunningWork(Blocked);

impl Default for Blocked {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Blocked {
    /// Whether any is running.
    pub(crate) fn any(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until fewer than this number are running.
    pub(crate) async fn fewer_than(&self, limit: usize) {
        let _ = self.0.subscribe().wait_for(|count| *count < limit).await; // self owns the sender
    }

    fn one_more(&self) -> RunningWork {
        self.0.send_modify(|count| *count += 1);
        RunningWork(self.clone())
    }

    /// The number of running work.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }
}

impl Drop for RunningWork {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// The errors of a read that continues after an error in one of its parts.
///
/// ```
/// use scrapewright::{Faults, anyhow};
///
/// let mut faults = Faults::default();
/// let values: Vec<f64> = ["1", "x", "2.5"].iter().filter_map(|text| faults.keep(Ok(text.parse().ok()?))).collect();
/// faults.note(anyhow::anyhow!("\"x\" is not a number"));
/// assert_eq!((values, faults.is_empty()), (vec![1.0, 2.5], false));
/// assert_eq!(faults.result().unwrap_err().to_string(), "\"x\" is not a number");
/// ```
#[derive(Debug, Default)]
pub struct Faults {
    first: Option<anyhow::Error>,
    count: usize,
}

impl Faults {
    /// Records an error.
    pub fn note(&mut self, error: anyhow::Error) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    /// The value, or `None` after recording the error.
    pub fn keep<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.note(error)).ok()
    }

    /// Whether no error was recorded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Success if no error was recorded.
    ///
    /// # Errors
    /// The first error, and the number of errors.
    pub fn result(self) -> anyhow::Result<()> {
        match (self.first, self.count) {
            (None, _) => Ok(()),
            (Some(first), 1) => Err(first),
            (Some(first), count) => Err(first.context(format!("{count} errors, the first"))),
        }
    }
}
