//! A collector with its way of being read: on a scrape, cached, or in the background.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::changes::{Changes, Due};
use crate::collector::{Blocked, Collector, Scrape};
use crate::config::duration::human;
use crate::config::reload::Reloaded;
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
    /// The blocking parts of reads that are running.
    blocked: Blocked,
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
    changes: Changes,
}

/// One read, under way or done. It is cancelled when nobody waits for it any more.
struct Read {
    scrape: Arc<Scrape>,
    outcome: OnceLock<Outcome>,
    done: watch::Receiver<bool>,
    task: OnceLock<AbortHandle>,
    /// How many wait for it.
    waiting: AtomicUsize,
}

/// One who waits for a read, and keeps it alive.
struct Waiter(Arc<Read>);

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
            blocked: Blocked::default(),
            ended: OnceLock::new(),
        }
    }

    /// The source, collected another way.
    #[must_use]
    pub fn collected(mut self, collection: Collection) -> Self {
        self.collection = collection;
        self
    }

    /// The collector's name.
    pub(crate) fn name(&self) -> &'static str {
        self.collector.name()
    }

    /// Whether it may be asked yet.
    pub(crate) fn ready(&self) -> bool {
        self.collector.ready()
    }

    /// Reads the collector's configuration files again.
    pub(crate) async fn reload(&self) {
        self.collector.reload().await;
    }

    /// How the last load of the collector's configuration files went.
    pub(crate) fn reloaded(&self) -> Option<Reloaded> {
        self.collector.reloaded()
    }

    /// What this collector says to a scrape that must be answered by `deadline`; a read may take
    /// `timeout`.
    pub(crate) async fn scrape(self: &Arc<Self>, deadline: Instant, timeout: Duration) -> Answer {
        let asked = Instant::now();
        let read = match tokio::time::timeout_at(deadline, self.read(deadline, timeout)).await {
            Ok(Ok(waiter)) => waiter,
            Ok(Err(why)) => return self.answer_without_read(Vec::new(), &why, asked),
            Err(_) => return self.answer_without_read(Vec::new(), "an earlier read still waits for the source", asked),
        };
        let mut done = read.done.clone();
        let waited = tokio::time::timeout_at(deadline, done.wait_for(|done| *done)).await;
        let families = read.scrape.families();
        if let Some(outcome) = read.outcome.get() {
            return self.answer(families, outcome.error.is_none(), outcome.duration);
        }
        let why = match waited {
            Ok(_) => "the process is stopping".to_owned(),
            Err(_) => format!("no answer within the scrape's {}", human(deadline - asked)),
        };
        self.answer_without_read(families, &why, asked)
    }

    /// Reads once before anybody asks, and waits for the end of that. A scrape that comes meanwhile joins, or
    /// has its own read in this one's place.
    pub(crate) async fn read_first(self: &Arc<Self>, timeout: Duration) {
        if self.ended.get().is_some() {
            return;
        }
        let first = self.start(Instant::now() + timeout, timeout).await;
        let mut done = first.done.clone();
        self.lock().shared = Some(first.0.clone()); // which keeps it, but is nobody who waits
        drop(first);
        while done.wait_for(|done| *done).await.is_err() {
            let Some(other) = self.lock().reading.upgrade() else { return };
            done = other.done.clone();
        }
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
            let read = self.start(Instant::now() + timeout, timeout).await;
            let _ = read.done.clone().wait_for(|done| *done).await; // the sender lives as long as the read
        }
    }

    /// The read that answers a scrape: the last one, where it may, or the one under way, or a new one.
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
                Collection::Background(interval) if age > interval + timeout => {
                    return Err(format!("the last read ended {} ago", human(age)));
                }
                Collection::Background(_) => return Ok(Waiter::new(last)),
                Collection::Cached(ttl) if age < ttl => return Ok(Waiter::new(last)),
                Collection::Cached(_) | Collection::OnScrape => {}
            }
        }
        Ok(self.start(deadline, timeout).await)
    }

    /// Starts a read for who waits until `deadline`, or joins the one under way. While an earlier read still
    /// waits in a device, no new one is started.
    async fn start(self: &Arc<Self>, deadline: Instant, timeout: Duration) -> Waiter {
        loop {
            if let Some(waiter) = self.try_start(deadline, timeout) {
                return waiter;
            }
            self.blocked.none().await;
        }
    }

    fn try_start(self: &Arc<Self>, deadline: Instant, timeout: Duration) -> Option<Waiter> {
        let mut state = self.lock();
        if let Some(reading) = state.reading.upgrade() {
            // A collector plans its work by the time it has. The first read, which nobody waits for, may have
            // planned for more than this scrape has: such a read would say too late what was late.
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
        // a read that serves later scrapes too does not end with the one that began it
        let deadline = if self.collection == Collection::OnScrape { deadline } else { started + timeout };
        let scrape = Arc::new(Scrape::new(deadline, self.blocked.clone()));
        let (finished, done) = watch::channel(false);
        let read = Arc::new(Read {
            scrape: scrape.clone(),
            outcome: OnceLock::new(),
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
        Some(waiter)
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

    /// An answer that comes from no read that has ended.
    fn answer_without_read(&self, families: Vec<Arc<Family>>, why: &str, asked: Instant) -> Answer {
        self.tell(Some(why));
        self.answer(families, false, asked.elapsed())
    }

    fn answer(&self, mut families: Vec<Arc<Family>>, success: bool, duration: Duration) -> Answer {
        families.extend(self.collector.kept().into_iter().map(Arc::new));
        Answer {
            collector: self.collector.name(),
            success_metric: self.collector.success_metric(),
            families,
            success,
            duration,
            last_success: self.lock().last_success,
        }
    }

    /// Logs a change between success and failure.
    fn tell(&self, error: Option<&str>) {
        let due = self.lock().changes.due(error);
        let (collector, error) = (self.collector.name(), error.unwrap_or_default());
        match due {
            Due::Failed => tracing::warn!(collector, error, "collector failed"),
            Due::FailsOtherwise => tracing::warn!(collector, error, "collector fails for another reason"),
            Due::Recovered => tracing::info!(collector, "collector recovered"),
            Due::Nothing if error.is_empty() => {}
            Due::Nothing => tracing::debug!(collector, error, "collector still fails"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // only plain assignments happen under it
    }
}

impl Waiter {
    fn new(read: Arc<Read>) -> Self {
        read.waiting.fetch_add(1, Ordering::Relaxed);
        Self(read)
    }
}

impl Deref for Waiter {
    type Target = Read;

    fn deref(&self) -> &Read {
        &self.0
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A collector whose every read takes a while, and then does what the test says.
    #[derive(Default)]
    struct Slow {
        takes: Duration,
        fails: Arc<AtomicBool>,
        panics: bool,
        reads: Arc<AtomicUsize>,
        ended: Arc<AtomicUsize>,
    }

    #[async_trait::async_trait]
    impl Collector for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
            let read = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
            scrape.add(Family::gauge("early", "", &[]).value(read as f64));
            tokio::time::sleep(self.takes).await;
            assert!(!self.panics, "out of cheese");
            anyhow::ensure!(!self.fails.load(Ordering::Relaxed), "the source is gone");
            scrape.add(Family::gauge("late", "", &[]).value(read as f64));
            self.ended.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_collector_keeps_is_there_whatever_came_of_the_read() {
        struct Counting;

        #[async_trait::async_trait]
        impl Collector for Counting {
            fn name(&self) -> &'static str {
                "counting"
            }

            async fn collect(&self, _: &Scrape) -> anyhow::Result<()> {
                std::future::pending().await
            }

            fn kept(&self) -> Vec<Family> {
                vec![Family::counter("failures_total", "", &[]).value(1.0)]
            }
        }

        let answer = scrape_within(&Arc::new(Source::new(Counting)), SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec!["failures_total"], false));
    }

    fn names(answer: &Answer) -> Vec<&str> {
        answer.families.iter().map(|family| family.name()).collect()
    }

    async fn scrape_within(source: &Arc<Source>, budget: Duration) -> Answer {
        source.scrape(Instant::now() + budget, 10 * SECOND).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_added_before_the_deadline_is_kept() {
        let source = Arc::new(Source::new(Slow { takes: 5 * SECOND, ..Slow::default() }));
        let started = Instant::now();
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!(started.elapsed(), SECOND);
        assert_eq!((names(&answer), answer.success), (vec!["early"], false));
        assert!(answer.last_success.is_none());
        let answer = scrape_within(&source, 6 * SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec!["early", "late"], true));
        assert!(answer.last_success.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_added_before_a_failure_is_kept() {
        let fails = Arc::new(AtomicBool::new(true));
        let source = Arc::new(Source::new(Slow { fails, ..Slow::default() }));
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec!["early"], false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_only_the_rest_of_its_read() {
        let source = Arc::new(Source::new(Slow { panics: true, ..Slow::default() }));
        for _ in 0..2 {
            let answer = scrape_within(&source, SECOND).await;
            assert_eq!((names(&answer), answer.success), (vec!["early"], false));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn scrapes_that_meet_share_one_read() {
        let slow = Slow { takes: SECOND, ..Slow::default() };
        let reads = slow.reads.clone();
        let source = Arc::new(Source::new(slow));
        let (one, other) = tokio::join!(scrape_within(&source, 2 * SECOND), scrape_within(&source, 2 * SECOND));
        assert!(one.success && other.success);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        scrape_within(&source, 2 * SECOND).await;
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_nobody_waits_for_any_more_is_cancelled() {
        let slow = Slow { takes: 2 * SECOND, ..Slow::default() };
        let ended = slow.ended.clone();
        let source = Arc::new(Source::new(slow));
        scrape_within(&source, SECOND).await;
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(ended.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_read_is_cached_and_a_failure_is_not() {
        let slow = Slow::default();
        let (reads, fails) = (slow.reads.clone(), slow.fails.clone());
        let source = Arc::new(Source::new(slow).collected(Collection::Cached(10 * SECOND)));
        fails.store(true, Ordering::Relaxed);
        assert!(!scrape_within(&source, SECOND).await.success);
        fails.store(false, Ordering::Relaxed);
        assert!(scrape_within(&source, SECOND).await.success);
        fails.store(true, Ordering::Relaxed);
        tokio::time::sleep(9 * SECOND).await;
        assert!(scrape_within(&source, SECOND).await.success);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        tokio::time::sleep(2 * SECOND).await;
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec!["early"], false), "no stale value");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cached_read_goes_on_when_the_scrape_that_began_it_has_left() {
        let slow = Slow { takes: 3 * SECOND, ..Slow::default() };
        let reads = slow.reads.clone();
        let source = Arc::new(Source::new(slow).collected(Collection::Cached(10 * SECOND)));
        assert!(!scrape_within(&source, SECOND).await.success);
        assert!(scrape_within(&source, 3 * SECOND).await.success);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn background_reads_answer_scrapes_until_they_are_too_old() {
        let slow = Slow { takes: SECOND, ..Slow::default() };
        let (reads, fails) = (slow.reads.clone(), slow.fails.clone());
        let source = Arc::new(Source::new(slow).collected(Collection::Background(5 * SECOND)));
        let running = tokio::spawn(source.clone().run(10 * SECOND));
        let started = Instant::now();
        assert!(scrape_within(&source, 2 * SECOND).await.success, "the first scrape waits for the first read");
        assert_eq!(started.elapsed(), SECOND);
        for _ in 0..20 {
            tokio::time::sleep(SECOND).await;
            assert!(scrape_within(&source, SECOND).await.success);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 5);
        fails.store(true, Ordering::Relaxed);
        tokio::time::sleep(6 * SECOND).await;
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec!["early"], false), "no stale value");
        running.abort();
        tokio::time::sleep(16 * SECOND).await;
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec![], false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_has_as_long_as_the_most_patient_who_waits_for_it() {
        let slow = Slow { takes: 2 * SECOND, ..Slow::default() };
        let source = Arc::new(Source::new(slow));
        let read = source.start(Instant::now() + SECOND, 10 * SECOND).await;
        assert_eq!(read.scrape.time_left(), SECOND);
        let joined = source.start(Instant::now() + 3 * SECOND, 10 * SECOND).await;
        assert_eq!((read.scrape.time_left(), joined.scrape.time_left()), (3 * SECOND, 3 * SECOND));
    }

    /// A collector that ends a little before its time and says what was late.
    struct Hanging(Arc<AtomicUsize>);

    #[async_trait::async_trait]
    impl Collector for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }

        async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(scrape.time_left().mul_f64(0.95)).await;
            scrape.add(Family::gauge("late", "", &[]).value(1.0));
            anyhow::bail!("the source is late")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_that_meets_the_first_read_learns_what_was_late_within_its_own_time() {
        let reads = Arc::new(AtomicUsize::new(0));
        let source = Arc::new(Source::new(Hanging(reads.clone())));
        let first = tokio::spawn({
            let source = source.clone();
            async move { source.read_first(10 * SECOND).await }
        });
        tokio::time::sleep(SECOND).await;
        let (answer, other) = tokio::join!(scrape_within(&source, 2 * SECOND), scrape_within(&source, 2 * SECOND));
        assert_eq!((names(&answer), answer.success), (vec!["late"], false));
        assert_eq!((names(&other), reads.load(Ordering::Relaxed)), (vec!["late"], 2), "and the two share a read");
        first.await.unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_with_more_time_joins_the_first_read() {
        let slow = Slow { takes: 3 * SECOND, ..Slow::default() };
        let reads = slow.reads.clone();
        let source = Arc::new(Source::new(slow));
        let begun = Instant::now();
        let (source, first) = (source.clone(), source.clone());
        let first = tokio::spawn(async move { first.read_first(10 * SECOND).await });
        tokio::time::sleep(SECOND).await;
        assert!(scrape_within(&source, 10 * SECOND).await.success);
        first.await.unwrap();
        assert_eq!((begun.elapsed(), reads.load(Ordering::Relaxed)), (3 * SECOND, 1));
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "the device is held on purpose; only a blocking thread waits for it")]
    async fn a_first_read_that_waits_for_a_device_is_joined() {
        let device = Arc::new(Mutex::new(()));
        let source = Arc::new(Source::new(Device(device.clone())));
        let held = device.lock().unwrap();
        let first = tokio::spawn({
            let source = source.clone();
            async move { source.read_first(10 * SECOND).await }
        });
        while source.blocked.count() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!scrape_within(&source, Duration::from_millis(10)).await.success);
        drop(held);
        first.await.unwrap();
        assert!(source.lock().last_success.is_some(), "the first read ended well");
    }

    /// A collector that waits for a device until the test lets it go.
    struct Device(Arc<Mutex<()>>);

    #[async_trait::async_trait]
    impl Collector for Device {
        fn name(&self) -> &'static str {
            "blocked"
        }

        async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
            let device = self.0.clone();
            scrape.blocking(move || drop(device.lock())).await;
            Ok(())
        }
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "the device is held on purpose; only a blocking thread waits for it")]
    async fn a_collector_that_still_waits_for_a_device_is_not_started_again() {
        let device = Arc::new(Mutex::new(()));
        let source = Arc::new(Source::new(Device(device.clone())));
        let held = device.lock().unwrap();
        for _ in 0..3 {
            assert!(!scrape_within(&source, Duration::from_millis(10)).await.success);
            assert_eq!(source.blocked.count(), 1);
        }
        drop(held);
        // it waits until the device is free, and does not fail because of a scrape that has gone
        assert!(scrape_within(&source, 10 * SECOND).await.success);
    }

    /// A collector whose work between scrapes ends at once.
    struct Dead;

    #[async_trait::async_trait]
    impl Collector for Dead {
        fn name(&self) -> &'static str {
            "dead"
        }

        async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
            scrape.add(Family::gauge("g", "", &[]).value(1.0));
            Ok(())
        }

        async fn run(&self) -> anyhow::Result<()> {
            anyhow::bail!("lost the log")
        }
    }

    #[tokio::test]
    async fn a_collector_whose_work_between_scrapes_has_ended_fails() {
        let source = Arc::new(Source::new(Dead));
        assert!(scrape_within(&source, SECOND).await.success);
        source.clone().run(SECOND).await;
        let answer = scrape_within(&source, SECOND).await;
        assert_eq!((names(&answer), answer.success), (vec![], false));
    }
}
