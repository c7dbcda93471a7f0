//! Tests of reads on a scrape, cached, and in the background.

use std::sync::atomic::AtomicBool;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A collector whose reads take a while, and then succeed, fail or panic.
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
async fn persistent_families_are_exported_even_if_the_read_fails() {
    struct Counting;

    #[async_trait::async_trait]
    impl Collector for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        async fn collect(&self, _: &Scrape) -> anyhow::Result<()> {
            std::future::pending().await
        }
    }

    let failures = || vec![Family::counter("failures_total", "", &[]).value(1.0)];
    let response = scrape_within(&Arc::new(Source::new(Counting).persistent_families(failures)), SECOND).await;
    assert_eq!((names(&response), response.success), (vec!["failures_total"], false));
}

fn names(response: &CollectorResponse) -> Vec<&str> {
    response.families.iter().map(|family| family.name()).collect()
}

async fn scrape_within(source: &Arc<Source>, budget: Duration) -> CollectorResponse {
    source.scrape(&Deadline::at(Instant::now() + budget), 10 * SECOND).await
}

#[tokio::test(start_paused = true)]
async fn families_added_before_the_deadline_are_exported() {
    let source = Arc::new(Source::new(Slow { takes: 5 * SECOND, ..Slow::default() }));
    let started = Instant::now();
    let response = scrape_within(&source, SECOND).await;
    assert_eq!(started.elapsed(), SECOND);
    assert_eq!((names(&response), response.success), (vec!["early"], false));
    assert!(response.last_success.is_none());
    let response = scrape_within(&source, 6 * SECOND).await;
    assert_eq!((names(&response), response.success), (vec!["early", "late"], true));
    assert!(response.last_success.is_some());
}

#[tokio::test(start_paused = true)]
async fn families_added_before_a_failure_are_exported() {
    let fails = Arc::new(AtomicBool::new(true));
    let source = Arc::new(Source::new(Slow { fails, ..Slow::default() }));
    let response = scrape_within(&source, SECOND).await;
    assert_eq!((names(&response), response.success), (vec!["early"], false));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_only_its_read() {
    let source = Arc::new(Source::new(Slow { panics: true, ..Slow::default() }));
    for _ in 0..2 {
        let response = scrape_within(&source, SECOND).await;
        assert_eq!((names(&response), response.success), (vec!["early"], false));
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_scrapes_share_one_read() {
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
async fn a_read_times_out_even_if_a_later_waiter_has_more_time() {
    let source = Arc::new(Source::new(Slow { takes: 100 * SECOND, ..Slow::default() }));
    let first = tokio::spawn({
        let source = source.clone();
        async move { scrape_within(&source, 10 * SECOND).await.success }
    });
    tokio::time::sleep(4 * SECOND).await;
    let started = Instant::now();
    let response = scrape_within(&source, 10 * SECOND).await;
    assert_eq!((started.elapsed(), response.duration, response.success), (6 * SECOND, 10 * SECOND, false));
    assert!(!first.await.unwrap());
    assert!(source.lock().reading.upgrade().is_none(), "cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_read_without_waiters_is_cancelled() {
    let slow = Slow { takes: 2 * SECOND, ..Slow::default() };
    let ended = slow.ended.clone();
    let source = Arc::new(Source::new(slow));
    scrape_within(&source, SECOND).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(ended.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_successful_read_is_cached_and_a_failure_is_not() {
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
    let response = scrape_within(&source, SECOND).await;
    assert_eq!((names(&response), response.success), (vec!["early"], false), "no stale value");
}

#[tokio::test(start_paused = true)]
async fn a_cached_read_continues_after_its_scrape_has_given_up() {
    let slow = Slow { takes: 3 * SECOND, ..Slow::default() };
    let reads = slow.reads.clone();
    let source = Arc::new(Source::new(slow).collected(Collection::Cached(10 * SECOND)));
    assert!(!scrape_within(&source, SECOND).await.success);
    assert!(scrape_within(&source, 3 * SECOND).await.success);
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn scrapes_use_a_background_read_until_it_is_too_old() {
    let slow = Slow { takes: SECOND, ..Slow::default() };
    let (reads, fails) = (slow.reads.clone(), slow.fails.clone());
    let source = Arc::new(Source::new(slow).collected(Collection::Background(5 * SECOND)));
    let running = tokio::spawn(source.clone().run_in_background(10 * SECOND));
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
    let response = scrape_within(&source, SECOND).await;
    assert_eq!((names(&response), response.success), (vec!["early"], false), "no stale value");
    running.abort();
    tokio::time::sleep(16 * SECOND).await;
    let response = scrape_within(&source, SECOND).await;
    assert_eq!((names(&response), response.success), (vec![], false));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_read_is_the_latest_of_its_waiters() {
    let slow = Slow { takes: 2 * SECOND, ..Slow::default() };
    let source = Arc::new(Source::new(slow));
    let read = source.start(Instant::now() + SECOND, 10 * SECOND, false).await;
    assert_eq!(read.scrape.time_left(), SECOND);
    let joined = source.start(Instant::now() + 3 * SECOND, 10 * SECOND, false).await;
    assert_eq!((read.scrape.time_left(), joined.scrape.time_left()), (3 * SECOND, 3 * SECOND));
}

/// A collector that returns slightly before its deadline, and reports the timeout.
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
async fn a_scrape_during_the_first_read_reports_timeouts_within_its_own_deadline() {
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Arc::new(Source::new(Hanging(reads.clone())));
    let first = tokio::spawn({
        let source = source.clone();
        async move { source.read_first(10 * SECOND).await }
    });
    tokio::time::sleep(SECOND).await;
    let (response, other) = tokio::join!(scrape_within(&source, 2 * SECOND), scrape_within(&source, 2 * SECOND));
    assert_eq!((names(&response), response.success), (vec!["late"], false));
    assert_eq!((names(&other), reads.load(Ordering::Relaxed)), (vec!["late"], 2), "the two scrapes share a read");
    first.await.unwrap();
    assert_eq!(reads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_with_more_time_joins_the_first_read() {
    let slow = Slow { takes: 3 * SECOND, ..Slow::default() };
    let reads = slow.reads.clone();
    let source = Arc::new(Source::new(slow));
    let start = Instant::now();
    let (source, first) = (source.clone(), source.clone());
    let first = tokio::spawn(async move { first.read_first(10 * SECOND).await });
    tokio::time::sleep(SECOND).await;
    assert!(scrape_within(&source, 10 * SECOND).await.success);
    first.await.unwrap();
    assert_eq!((start.elapsed(), reads.load(Ordering::Relaxed)), (3 * SECOND, 1));
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "only a blocking thread waits for the lock")]
async fn a_first_read_that_is_blocked_in_a_device_is_joined() {
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
    assert!(source.lock().last_success.is_some(), "the first read succeeded");
}

/// A collector that is blocked in a device until the test releases it.
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
#[expect(clippy::await_holding_lock, reason = "only a blocking thread waits for the lock")]
async fn no_read_starts_while_an_earlier_one_is_blocked_in_a_device() {
    let device = Arc::new(Mutex::new(()));
    let source = Arc::new(Source::new(Device(device.clone())));
    let held = device.lock().unwrap();
    for _ in 0..3 {
        assert!(!scrape_within(&source, Duration::from_millis(10)).await.success);
        assert_eq!(source.blocked.count(), 1);
    }
    drop(held);
    // the read waits for the device, and does not fail because an earlier scrape gave up
    assert!(scrape_within(&source, 10 * SECOND).await.success);
}

/// A collector with one family.
struct One(fn() -> Family);

#[async_trait::async_trait]
impl Collector for One {
    fn name(&self) -> &'static str {
        "one"
    }

    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()> {
        scrape.add((self.0)());
        Ok(())
    }
}

#[tokio::test]
async fn a_collector_whose_background_work_has_stopped_fails() {
    let one = One(|| Family::gauge("g", "", &[]).value(1.0));
    let source = Arc::new(Source::new(one).run(async { anyhow::bail!("lost the log") }));
    assert!(scrape_within(&source, SECOND).await.success);
    source.clone().run_in_background(SECOND).await;
    let response = scrape_within(&source, SECOND).await;
    assert_eq!((names(&response), response.success), (vec![], false));
}

#[tokio::test]
async fn an_invalid_family_fails_the_read_and_keeps_its_valid_series() {
    let source = Source::new(One(|| Family::gauge("g", "", &["a"]).with(&["x"], 1.0).with(&["x", "y"], 2.0)));
    let response = scrape_within(&Arc::new(source), SECOND).await;
    assert!(!response.success);
    assert_eq!(response.families.iter().map(|family| family.len()).sum::<usize>(), 1);
}
