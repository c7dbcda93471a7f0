//! Stops, kills and pauses brokers while real clients process jobs. In every scrape, no counter decreases, no depth is too
//! low, and success is correct. `CHAOS_ROUNDS=20` makes the test run longer.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use exporter_common::testing::{Running, value};

use crate::SUCCESS;
use crate::broker::{Ended, patiently};
use crate::watch::Watch;

/// The number of jobs that stay in each queue.
pub(crate) const BACKLOG: u32 = 20;

/// A server that a test stops and starts.
pub(crate) trait Broker: Send {
    /// Stops it with a signal, and waits until it has exited.
    fn down(&mut self, signal: &str);

    /// Starts it, and waits until it responds.
    fn up(&mut self);

    /// Pauses it (STOP) or resumes it (CONT).
    fn signal(&self, signal: &str);
}

/// An exporter, and the invariants of its scrapes.
pub(crate) struct Watched<'a> {
    exporter: Running,
    watch: Watch,
    /// Counters that increase while jobs are processed.
    flows: &'a [&'static str],
    /// Depths that are at least the backlog while it exists.
    depths: &'a [&'static str],
    /// Series of every complete read while the backlog exists.
    there: &'a [&'static str],
    /// Queries the broker for the backlog, which a broker without persistence may lose.
    backlog: &'a dyn Fn() -> bool,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(exporter: Running, flows: &'a [&'static str], depths: &'a [&'static str]) -> Self {
        Self { exporter, watch: Watch::default(), flows, depths, there: depths, backlog: &|| true }
    }

    /// Waits until the backlog is exported.
    pub(crate) fn once_filled(self) -> Self {
        let filled = |series: &&str, metrics: &str| value(metrics, series) >= Some(f64::from(BACKLOG));
        self.exporter.scrape_until("the backlog is exported", |metrics| {
            self.depths.iter().all(|series| filled(series, metrics))
        });
        self
    }

    pub(crate) fn with_backlog(self, backlog: &'a dyn Fn() -> bool) -> Self {
        Self { backlog, ..self }
    }

    pub(crate) fn there(self, there: &'a [&'static str]) -> Self {
        Self { there, ..self }
    }

    /// Scrapes once and checks the invariants.
    fn scrape(&self, truth: &Mutex<Truth>) {
        let state = |truth: &Mutex<Truth>| truth.lock().unwrap().state;
        // a broker that is down is not queried
        let backlog = || !matches!(state(truth), State::Down(_)) && (self.backlog)();
        let (before, backlog_before) = (state(truth), backlog());
        let metrics = self.exporter.scrape();
        let (backlog_after, after) = (backlog(), state(truth));
        self.watch.see(&metrics);
        let success = value(&metrics, SUCCESS);
        let steady = (before == after).then_some(before);
        match steady {
            Some(State::Up(_)) => assert_eq!(success, Some(1.0), "it is up: {}{metrics}", self.exporter.log()),
            Some(State::Down(_)) => {
                assert_eq!(success, Some(0.0), "it is down: {metrics}");
                assert!(!metrics.contains("queue_depth{"), "a broker that is down has no queues: {metrics}");
            }
            Some(State::Changing) | None => {}
        }
        if backlog_before && backlog_after {
            for series in self.depths {
                let depth = value(&metrics, series).unwrap_or(f64::INFINITY);
                assert!(depth >= f64::from(BACKLOG), "{series} {depth} is too low, {before:?}: {metrics}");
            }
            if success == Some(1.0) {
                for text in self.there {
                    assert!(metrics.contains(text), "{text} is missing, {before:?}: {metrics}");
                }
            }
        }
        let mut truth = truth.lock().unwrap();
        if steady == Some(truth.state) {
            let seen = truth.seen.entry(self.exporter.pid()).or_default();
            seen.scrapes += 1;
            let now = self.flows.iter().map(|series| value(&metrics, series));
            match now.collect::<Option<Vec<_>>>() {
                Some(now) if seen.flowed.is_empty() => seen.flowed = now,
                Some(now) => seen.grown |= seen.flowed.iter().zip(now).all(|(before, now)| *before < now),
                None => {}
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Changing,
    /// The round.
    Up(u32),
    Down(u32),
}

/// The state of the broker, and the scrapes in this state by the exporter's process.
struct Truth {
    state: State,
    seen: HashMap<u32, Seen>,
}

#[derive(Default)]
struct Seen {
    scrapes: u32,
    /// The counters in the first of these scrapes, and whether all have increased since.
    flowed: Vec<f64>,
    grown: bool,
}

/// Stops the broker in turn with TERM and KILL, and pauses it, while every exporter is scraped.
pub(crate) fn survives(broker: &mut dyn Broker, exporters: &[Watched<'_>]) {
    let rounds = std::env::var("CHAOS_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let over = AtomicBool::new(false);
    let truth = Mutex::new(Truth { state: State::Changing, seen: HashMap::new() });
    let enter = |state| {
        let mut truth = truth.lock().unwrap();
        (truth.state, truth.seen) = (state, HashMap::new());
    };
    let count = exporters.len();
    let seen = |what: &str, enough: &dyn Fn(&Seen) -> bool| {
        patiently(what, || {
            assert!(!over.load(Ordering::Relaxed), "a scrape has failed");
            let seen = &truth.lock().unwrap().seen;
            (seen.len() == count && seen.values().all(enough)).then_some(())
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let _over = Stop(&over);
            for round in 0..rounds {
                enter(State::Up(round));
                seen("jobs are processed", &|seen| seen.scrapes >= 5 && seen.grown);
                enter(State::Changing);
                match ["TERM", "KILL", "STOP"][round as usize % 3] {
                    "STOP" => {
                        broker.signal("STOP");
                        enter(State::Down(round));
                        seen("it is paused", &|seen| seen.scrapes >= 1); // each takes as long as a scrape may
                        enter(State::Changing);
                        broker.signal("CONT");
                        seen("it responds again", &|seen| seen.scrapes >= 2);
                    }
                    signal => {
                        broker.down(signal);
                        enter(State::Down(round));
                        seen("it is down", &|seen| seen.scrapes >= 3);
                        enter(State::Changing);
                        broker.up();
                    }
                }
            }
            enter(State::Up(rounds));
            seen("jobs are processed again", &|seen| seen.scrapes >= 5 && seen.grown);
        });
        let _over = Stop(&over);
        while !over.load(Ordering::Relaxed) {
            let started_at = Instant::now();
            for exporter in exporters {
                exporter.scrape(&truth);
            }
            thread::sleep(PACE.saturating_sub(started_at.elapsed()));
        }
    });
}

/// How often exporters are scraped.
const PACE: Duration = Duration::from_millis(200);

/// Sets a flag when dropped, also after a panic.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long a client waits for a response: a paused server sends none.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// The pause between two jobs, which leaves CPU time for others.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Repeats jobs until stopped, also after errors, as clients do.
pub(crate) fn again_and_again<E>(stop: &AtomicBool, mut jobs: impl FnMut() -> Result<(), E>) {
    while !stop.load(Ordering::Relaxed) {
        let _ = jobs();
        thread::sleep(PAUSE); // the broker is down: no busy loop
    }
}

/// Starts a client that runs until it is killed.
pub(crate) fn started(mut client: Command) -> Ended {
    Ended(client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}
