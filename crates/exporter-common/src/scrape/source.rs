//! Schedules the reads of a collector: on a scrape, cached, or in the background.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, Sleep};

use super::collector::{Blocked, Collector, Scrape};
use super::failure_log::{FailureLog, Transition};
use super::panicked;
use super::read::{Read, ReadOutcome, Waiter};
use crate::config::duration::human;
use crate::config::reload::ReloadStatus;
use crate::exposition::family::Family;

/// The shortest interval of background reads.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// When a collector reads its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Collection {
    /// For every scrape. Concurrent scrapes share one read.
    OnScrape,
    /// For a scrape, if the last successful read is older than this. Failures are not cached.
    Cached(Duration),
    /// At this interval in the background. Scrapes return the last read.
    Background(Duration),
}

/// A collector, the schedule of its reads, and its other work.
///
/// A collector with state that several of these use is shared in an [`Arc`]:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use scrapewright::{Collection, Collector, Family, Scrape, Source, anyhow, async_trait};
///
/// /// Counts ticks in the background.
/// #[derive(Default)]
/// struct Ticks(AtomicU64);
///
/// impl Ticks {
///     async fn count(self: Arc<Self>) -> anyhow::Result<()> {
///         loop {
///             tokio::time::sleep(Duration::from_secs(1)).await;
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// #[async_trait]
/// impl Collector for Ticks {
///     fn name(&self) -> &str {
///         "ticks"
///     }
///
///     async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
///         let ticks = self.0.load(Ordering::Relaxed);
///         scrape.add(Family::counter("ticks_total", "Total number of ticks since the start.", &[]).value(ticks));
///         Ok(())
///     }
/// }
///
/// let ticks = Arc::new(Ticks::default());
/// let source = Source::new(ticks.clone())
///     .collected(Collection::Cached(Duration::from_secs(5)))
///     .run(ticks.clone().count())
///     .ready(move || ticks.0.load(Ordering::Relaxed) > 0);
/// ```
pub struct Source {
    collector: Arc<dyn Collector>,
    collection: Collection,
    hooks: Hooks,
    state: Mutex<SourceState>,
    /// The running blocking work of reads.
    blocked: Blocked,
    /// The reason why the collector's background work has stopped, if it has.
    ended: OnceLock<String>,
    /// What the last read found, for `--probe`.
    report: Option<Box<dyn Fn() -> Vec<String> + Send + Sync>>,
}

/// What only some collectors need.
#[derive(Default)]
struct Hooks {
    /// The background work, until it starts.
    run: Mutex<Option<BoxFuture<'static, anyhow::Result<()>>>>,
    ready: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    persistent_families: Option<Box<dyn Fn() -> Vec<Family> + Send + Sync>>,
    reload: Option<Arc<dyn Fn() + Send + Sync>>,
    reload_status: Option<Box<dyn Fn() -> Option<ReloadStatus> + Send + Sync>>,
    success_metric: Option<Cow<'static, str>>,
}

#[derive(Default)]
struct SourceState {
    /// The read in progress, which its waiters keep alive.
    reading: Weak<Read>,
    /// Keeps a read alive that later scrapes use, too.
    shared: Option<Arc<Read>>,
    /// The last read, if later scrapes may use it.
    last: Option<Arc<Read>>,
    last_success: Option<SystemTime>,
    failure_log: FailureLog,
}

/// The deadline of a scrape, with one timer for all collectors.
pub(crate) struct Deadline {
    at: Instant,
    passed: Shared<Sleep>,
}

impl Deadline {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, passed: tokio::time::sleep_until(at).shared() }
    }
}

/// The response of one collector to one scrape.
pub(crate) struct CollectorResponse {
    pub(crate) collector: String,
    pub(crate) success_metric: Option<Cow<'static, str>>,
    pub(crate) families: Vec<Arc<Family>>,
    pub(crate) success: bool,
    pub(crate) duration: Duration,
    pub(crate) last_success: Option<SystemTime>,
}

impl Source {
    /// A collector that is read for every scrape.
    pub fn new(collector: impl Collector) -> Self {
        Self {
            collector: Arc::new(collector),
            collection: Collection::OnScrape,
            hooks: Hooks::default(),
            state: Mutex::default(),
            blocked: Blocked::default(),
            ended: OnceLock::new(),
            report: None,
        }
    }

    /// Sets what `--probe` ([`Program::reports`](crate::Program::reports)) prints after a read.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use scrapewright::{Collector, Program, Purpose, Source, Startup};
    ///
    /// fn source(startup: &Startup, collector: impl Collector, lines: Arc<Mutex<Vec<String>>>) -> Source {
    ///     let source = Source::new(collector);
    ///     match startup.purpose {
    ///         Purpose::Probe => source.reported(move || lines.lock().unwrap().clone()), // the collector adds them
    ///         _ => source,
    ///     }
    /// }
    ///
    /// let program = Program::new("my-exporter", "1.0.0", "Exports my source.", 9999).reports();
    /// ```
    #[must_use]
    pub fn reported(mut self, report: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// The lines of [`Source::reported`] about the last read.
    pub(crate) fn report(&self) -> Vec<String> {
        self.report.as_ref().map(|report| report()).unwrap_or_default()
    }

    /// Changes the schedule of reads.
    #[must_use]
    pub fn collected(mut self, collection: Collection) -> Self {
        self.collection = collection;
        self
    }

    /// Adds background work for the lifetime of the process, such as following a log. It starts when the exporter serves,
    /// so not with `--once` and `--check`, and is dropped when the process stops.
    ///
    /// After it returns, with or without an error, every read fails: a failed follower must not look like an idle
    /// source.
    #[must_use]
    pub fn run(mut self, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        self.hooks.run = Mutex::new(Some(work.boxed()));
        self
    }

    /// Adds a condition: until it holds, `/metrics` and `/-/ready` return 503. A collector that continues the counters of
    /// an earlier process first catches up with their last exported values.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.hooks.ready = Some(Box::new(ready));
        self
    }

    /// Adds families that are exported in every scrape, even if the read fails, such as counters of failures.
    #[must_use]
    pub fn persistent_families(mut self, families: impl Fn() -> Vec<Family> + Send + Sync + 'static) -> Self {
        self.hooks.persistent_families = Some(Box::new(families));
        self
    }

    /// Adds a reload of configuration files, on SIGHUP. It runs on a thread that may block. If the files are invalid, it
    /// logs the error and keeps the last valid configuration.
    #[must_use]
    pub fn reload(mut self, reload: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks.reload = Some(Arc::new(reload));
        self
    }

    /// Adds the status of the last load of configuration files, for `exporter_config_last_reload_successful`. It is
    /// `None` while no file is configured.
    #[must_use]
    pub fn reload_status(mut self, status: impl Fn() -> Option<ReloadStatus> + Send + Sync + 'static) -> Self {
        self.hooks.reload_status = Some(Box::new(status));
        self
    }

    /// Adds another name for this collector's `exporter_scrape_success`, for compatibility.
    #[must_use]
    pub fn success_metric(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.hooks.success_metric = Some(name.into());
        self
    }

    /// The collector's name.
    pub(crate) fn name(&self) -> &str {
        self.collector.name()
    }

    /// Whether the collector is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.hooks.ready.as_ref().is_none_or(|ready| ready())
    }

    /// Reloads the collector's configuration files.
    pub(crate) async fn reload_files(&self) {
        let Some(reload) = self.hooks.reload.clone() else { return };
        if tokio::task::spawn_blocking(move || reload()).await.is_err() {
            tracing::error!(collector = self.name(), "the reload of the configuration failed");
        }
    }

    /// The status of the last load of the collector's configuration files.
    pub(crate) fn last_reload(&self) -> Option<ReloadStatus> {
        self.hooks.reload_status.as_ref().and_then(|status| status())
    }

    /// The collector's response to a scrape with this deadline. `timeout` limits a read.
    pub(crate) async fn scrape(self: &Arc<Self>, deadline: &Deadline, timeout: Duration) -> CollectorResponse {
        let started = Instant::now();
        let read = tokio::select! {
            biased;
            read = self.read(deadline.at, timeout) => read,
            () = deadline.passed.clone() => Err("an earlier read is still waiting for the source".to_owned()),
        };
        let read = match read {
            Ok(waiter) => waiter,
            Err(why) => return self.response_without_read(Vec::new(), &why, started),
        };
        let mut done = read.done.clone();
        let joined = self.collection == Collection::OnScrape && read.limit < deadline.at;
        let waited = tokio::select! {
            biased;
            _ = done.wait_for(|done| *done) => true,
            () = deadline.passed.clone() => false,
            () = tokio::time::sleep_until(read.limit), if joined => {
                self.finish(&read.0, Some(no_response(timeout)), read.limit - timeout);
                true
            }
        };
        let outcome = read.outcome.get(); // before the families, so that a success has all of them
        let families = read.scrape.families();
        if let Some(outcome) = outcome {
            return self.response(families, outcome.error.is_none(), outcome.duration);
        }
        let why = match waited {
            true => "the exporter is stopping".to_owned(),
            false => format!("no response within the scrape's {}", human(deadline.at - started)),
        };
        self.response_without_read(families, &why, started)
    }

    /// Reads once before the first scrape, and waits for the result. A scrape in the meantime joins this read or
    /// replaces it.
    pub(crate) async fn read_first(self: &Arc<Self>, timeout: Duration) {
        if self.ended.get().is_some() {
            return;
        }
        let first = self.start(Instant::now() + timeout, timeout, true).await;
        let mut done = first.done.clone();
        self.lock().shared = Some(first.0.clone()); // keeps the read alive without being a waiter
        drop(first);
        while done.wait_for(|done| *done).await.is_err() {
            let Some(other) = self.lock().reading.upgrade() else { return };
            done = other.done.clone();
        }
    }

    /// The collector's background work, and its background reads.
    pub(crate) async fn run_in_background(self: Arc<Self>, timeout: Duration) {
        let work = self.hooks.run.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = work.unwrap_or_else(|| std::future::pending().boxed());
        let why = tokio::select! {
            result = AssertUnwindSafe(work).catch_unwind() => match result {
                Ok(Ok(())) => "its background work has stopped".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => panicked(&*panic),
            },
            () = self.read_in_background(timeout) => return,
        };
        self.log_transition(Some(&why));
        let _ = self.ended.set(why);
    }

    async fn read_in_background(self: &Arc<Self>, timeout: Duration) {
        let Collection::Background(interval) = self.collection else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(interval.max(SHORTEST_INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let read = self.start(Instant::now() + timeout, timeout, true).await;
            let _ = read.done.clone().wait_for(|done| *done).await; // the sender outlives the read
        }
    }

    /// The read for a scrape: the last one if it may be used, the one in progress, or a new one.
    async fn read(self: &Arc<Self>, deadline: Instant, timeout: Duration) -> Result<Waiter, String> {
        if let Some(why) = self.ended.get() {
            return Err(why.clone());
        }
        let last = self.lock().last.clone();
        if let Some(last) = last
            && let Some(outcome) = last.outcome.get()
        {
            let age = outcome.ended.elapsed();
            match self.collection {
                Collection::Background(interval) if age > interval.saturating_add(timeout) => {
                    return Err(format!("the last read finished {} ago", human(age)));
                }
                Collection::Background(_) => return Ok(Waiter::new(last)),
                Collection::Cached(ttl) if age < ttl => return Ok(Waiter::new(last)),
                Collection::Cached(_) | Collection::OnScrape => {}
            }
        }
        Ok(self.start(deadline, timeout, self.collection != Collection::OnScrape).await)
    }

    /// Starts a read for a waiter with this deadline, or joins the read in progress. While blocking work of an earlier
    /// read is still running, no new read starts. The waiters of a read end it, unless it is `limited` itself: a timer for
    /// each read would take longer than most reads.
    async fn start(self: &Arc<Self>, deadline: Instant, timeout: Duration, limited: bool) -> Waiter {
        loop {
            if let Some(waiter) = self.try_start(deadline, timeout, limited) {
                return waiter;
            }
            self.blocked.fewer_than(1).await;
        }
    }

    fn try_start(self: &Arc<Self>, deadline: Instant, timeout: Duration, limited: bool) -> Option<Waiter> {
        let mut state = self.lock();
        if let Some(reading) = state.reading.upgrade() {
            // A collector plans its work by its deadline. The first read, which has no waiter, may have planned for
            // more time than this scrape has: its report of what timed out would come too late.
            let unawaited = state.shared.is_some() && reading.waiting.load(Ordering::Relaxed) == 0;
            if self.collection != Collection::OnScrape {
                return Some(Waiter::new(reading));
            }
            if !unawaited || reading.scrape.deadline() <= deadline || self.blocked.any() {
                reading.scrape.extend(deadline);
                return Some(Waiter::new(reading));
            }
            state.shared = None;
        }
        if self.blocked.any() {
            return None;
        }
        let started = Instant::now();
        // a read that later scrapes use does not stop with the scrape that started it
        let deadline = if self.collection == Collection::OnScrape { deadline } else { started + timeout };
        let scrape = Arc::new(Scrape::new(deadline, self.blocked.clone()));
        let (finished, done) = watch::channel(false);
        let read = Arc::new(Read {
            scrape: scrape.clone(),
            outcome: OnceLock::new(),
            limit: started + timeout,
            done,
            task: OnceLock::new(),
            waiting: AtomicUsize::new(0),
        });
        let waiter = Waiter::new(read.clone());
        state.reading = Arc::downgrade(&read);
        if self.collection != Collection::OnScrape {
            state.shared = Some(read.clone());
        }
        drop(state);
        let (source, weak) = (self.clone(), Arc::downgrade(&read));
        let task = tokio::spawn(async move {
            let collect = AssertUnwindSafe(source.collector.collect(&scrape)).catch_unwind();
            let error = tokio::select! {
                biased;
                collected = collect => match collected {
                    Ok(Ok(())) => scrape.invalid().map(ToString::to_string),
                    Ok(Err(error)) => Some(format!("{error:#}")),
                    Err(panic) => Some(panicked(&*panic)),
                },
                () = tokio::time::sleep(timeout), if limited => Some(no_response(timeout)),
            };
            if let Some(read) = weak.upgrade() {
                source.finish(&read, error, started);
            }
            let _ = finished.send(true); // there may be no waiter
        });
        let _ = read.task.set(task.abort_handle());
        Some(waiter)
    }

    /// Stores the result of a read that finished or timed out, once.
    fn finish(&self, read: &Arc<Read>, error: Option<String>, started: Instant) {
        let failed = error.is_some();
        let ended = Instant::now();
        if read.outcome.set(ReadOutcome { error: error.clone(), duration: ended - started, ended }).is_err() {
            return;
        }
        let mut state = self.lock();
        state.reading = Weak::new();
        state.shared = None;
        match self.collection {
            Collection::Cached(_) if !failed => state.last = Some(read.clone()),
            Collection::Background(_) => state.last = Some(read.clone()),
            Collection::Cached(_) | Collection::OnScrape => {}
        }
        if !failed {
            state.last_success = Some(SystemTime::now());
        }
        drop(state);
        self.log_transition(error.as_deref());
    }

    /// A response without a finished read.
    fn response_without_read(&self, families: Vec<Arc<Family>>, why: &str, started: Instant) -> CollectorResponse {
        self.log_transition(Some(why));
        self.response(families, false, started.elapsed())
    }

    fn response(&self, mut families: Vec<Arc<Family>>, success: bool, duration: Duration) -> CollectorResponse {
        let persistent = self.hooks.persistent_families.as_ref().map(|families| families()).unwrap_or_default();
        families.extend(persistent.into_iter().map(Arc::new));
        CollectorResponse {
            collector: self.name().to_owned(),
            success_metric: self.hooks.success_metric.clone(),
            families,
            success,
            duration,
            last_success: self.lock().last_success,
        }
    }

    /// Logs a change between success and failure.
    fn log_transition(&self, error: Option<&str>) {
        let transition = self.lock().failure_log.transition(error);
        let (collector, error) = (self.name(), error.unwrap_or_default());
        match transition {
            Transition::Failed => tracing::warn!(collector, error, "collector failed"),
            Transition::ReasonChanged => tracing::warn!(collector, error, "collector fails for a different reason"),
            Transition::Recovered => tracing::info!(collector, "collector recovered"),
            Transition::None if error.is_empty() => {}
            Transition::None => tracing::debug!(collector, error, "collector still fails"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SourceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // only plain assignments happen while it is locked
    }
}

fn no_response(timeout: Duration) -> String {
    format!("no response within {}", human(timeout))
}

#[cfg(test)]
mod tests;
