//! A collector with its way of being read: on a scrape, cached, or in the background.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::collector::{Collector, Scrape};
use crate::duration::human;
use crate::family::Family;

/// When a collector reads its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// For every scrape. Scrapes that meet share one read.
    OnScrape,
    /// For a scrape, when the last good read is older than this. Failures are not cached.
    Cached(Duration),
    /// Every so often, whether anybody scrapes or not; a scrape is answered from the last read.
    Background(Duration),
}

/// A collector and how it is collected.
pub struct Source {
    collector: Arc<dyn Collector>,
    collection: Collection,
    state: Mutex<State>,
    /// How many blocking parts of reads are running.
    blocked: Arc<AtomicUsize>,
    /// Why the collector's own work between scrapes has ended, once it has.
    ended: OnceLock<String>,
}

#[derive(Default)]
struct State {
    /// The read under way. Those who wait for it keep it alive.
    reading: Weak<Read>,
    /// Keeps a read alive that serves later scrapes too.
    shared: Option<Arc<Read>>,
    /// The last read, where later scrapes may be answered from it.
    last: Option<Arc<Read>>,
    last_success: Option<SystemTime>,
    /// Whether the last state that was logged is a failure.
    failing: bool,
}

/// One read, under way or done. It is cancelled when nobody waits for it any more.
struct Read {
    scrape: Arc<Scrape>,
    outcome: OnceLock<Outcome>,
    done: watch::Receiver<bool>,
    task: OnceLock<AbortHandle>,
}

struct Outcome {
    error: Option<String>,
    duration: Duration,
    ended: Instant,
}

/// What one collector contributes to one scrape.
pub(crate) struct Answer {
    pub(crate) collector: &'static str,
    pub(crate) success_metric: Option<&'static str>,
    pub(crate) families: Vec<Arc<Family>>,
    pub(crate) success: bool,
    pub(crate) duration: Duration,
    pub(crate) last_success: Option<SystemTime>,
}

impl Source {
    /// A collector that is read for every scrape.
    pub fn new(collector: impl Collector) -> Self {
        Self::boxed(Box::new(collector))
    }

    /// The same for a collector that is boxed already.
    pub fn boxed(collector: Box<dyn Collector>) -> Self {
        Self {
            collector: collector.into(),
            collection: Collection::OnScrape,
            state: Mutex::default(),
            blocked: Arc::default(),
            ended: OnceLock::new(),
        }
    }

    /// The source, collected another way.
    #[must_use]
    pub fn collected(mut self, collection: Collection) -> Self {
        self.collection = collection;
        self
    }

    /// What this collector says to a scrape that must be answered by `deadline`; a read may take
    /// `timeout`.
    pub(crate) async fn scrape(self: &Arc<Self>, deadline: Instant, timeout: Duration) -> Answer {
        let asked = Instant::now();
        let read = match self.read(timeout) {
            Ok(read) => read,
            Err(why) => return self.answer(Vec::new(), Some(&why), asked.elapsed()),
        };
        let mut done = read.done.clone();
        let waited = tokio::time::timeout_at(deadline, done.wait_for(|done| *done)).await;
        let families = read.scrape.families();
        if let Some(outcome) = read.outcome.get() {
            return self.answer(families, outcome.error.as_deref(), outcome.duration);
        }
        let why = match waited {
            Ok(_) => "the process is stopping".to_owned(),
            Err(_) => format!("no answer within the scrape's {}", human(deadline - asked)),
        };
        self.answer(families, Some(&why), asked.elapsed())
    }

    /// What goes on between scrapes: the collector's own work, and its reads in the background.
    pub(crate) async fn run(self: Arc<Self>, timeout: Duration) {
        let why = tokio::select! {
            result = AssertUnwindSafe(self.collector.run()).catch_unwind() => match result {
                Ok(Ok(())) => "its work between scrapes has ended".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => panicked(&*panic),
            },
            () = self.read_in_background(timeout) => return,
        };
        self.tell(Some(&why));
        let _ = self.ended.set(why);
    }

    async fn read_in_background(self: &Arc<Self>, timeout: Duration) {
        let Collection::Background(interval) = self.collection else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.start(timeout) {
                Ok(read) => {
                    let _ = read.done.clone().wait_for(|done| *done).await; // the sender lives as long as the read
                }
                Err(why) => self.tell(Some(&why)),
            }
        }
    }

    /// The read that answers a scrape: the last one, where it may, or the one under way, or a new one.
    fn read(self: &Arc<Self>, timeout: Duration) -> Result<Arc<Read>, String> {
        if let Some(why) = self.ended.get() {
            return Err(why.clone());
        }
        let last = self.lock().last.clone();
        if let Some(last) = last
            && let Some(outcome) = last.outcome.get()
        {
            let age = outcome.ended.elapsed();
            match self.collection {
                Collection::Background(interval) if age > interval + timeout => {
                    return Err(format!("the last read ended {} ago", human(age)));
                }
                Collection::Background(_) => return Ok(last),
                Collection::Cached(ttl) if age < ttl => return Ok(last),
                Collection::Cached(_) | Collection::OnScrape => {}
            }
        }
        self.start(timeout)
    }

    /// Starts a read, or joins the one under way.
    fn start(self: &Arc<Self>, timeout: Duration) -> Result<Arc<Read>, String> {
        let mut state = self.lock();
        if let Some(reading) = state.reading.upgrade() {
            return Ok(reading);
        }
        if self.blocked.load(Ordering::Relaxed) > 0 {
            return Err("an earlier read still waits for the source".to_owned());
        }
        let started = Instant::now();
        let scrape = Arc::new(Scrape::new(started + timeout, self.blocked.clone()));
        let (finished, done) = watch::channel(false);
        let read = Arc::new(Read { scrape: scrape.clone(), outcome: OnceLock::new(), done, task: OnceLock::new() });
        state.reading = Arc::downgrade(&read);
        if self.collection != Collection::OnScrape {
            state.shared = Some(read.clone());
        }
        drop(state);
        let (source, weak) = (self.clone(), Arc::downgrade(&read));
        let task = tokio::spawn(async move {
            let collect = AssertUnwindSafe(source.collector.collect(&scrape)).catch_unwind();
            let error = match tokio::time::timeout(timeout, collect).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(format!("{error:#}")),
                Ok(Err(panic)) => Some(panicked(&*panic)),
                Err(_) => Some(format!("no answer within {}", human(timeout))),
            };
            if let Some(read) = weak.upgrade() {
                source.finish(&read, error, started);
            }
            let _ = finished.send(true); // nobody may be waiting
        });
        let _ = read.task.set(task.abort_handle());
        Ok(read)
    }

    /// Keeps what a read that has ended found out.
    fn finish(&self, read: &Arc<Read>, error: Option<String>, started: Instant) {
        let failed = error.is_some();
        let ended = Instant::now();
        let outcome = read.outcome.get_or_init(|| Outcome { error, duration: ended - started, ended });
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
        self.tell(outcome.error.as_deref());
    }

    fn answer(&self, families: Vec<Arc<Family>>, error: Option<&str>, duration: Duration) -> Answer {
        self.tell(error);
        Answer {
            collector: self.collector.name(),
            success_metric: self.collector.success_metric(),
            families,
            success: error.is_none(),
            duration,
            last_success: self.lock().last_success,
        }
    }

    /// Logs a change between success and failure, once.
    fn tell(&self, error: Option<&str>) {
        let was_failing = std::mem::replace(&mut self.lock().failing, error.is_some());
        let collector = self.collector.name();
        match error {
            Some(error) if !was_failing => tracing::warn!(collector, error, "collector failed"),
            Some(error) => tracing::debug!(collector, error, "collector still fails"),
            None if was_failing => tracing::info!(collector, "collector recovered"),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // only plain assignments happen under it
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort(); // does nothing to one that has ended
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", message.as_deref().unwrap_or("no message"))
}
