//! Brokers that are stopped, killed and halted while jobs flow through real clients: no counter goes down, no depth is 0
//! that is not, and success tells the truth at every scrape. `CHAOS_ROUNDS=20` makes it a long run.
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

/// How many jobs stay in each queue, whatever happens.
pub(crate) const BACKLOG: u32 = 20;

/// A server that can be ended by a signal and begun again.
pub(crate) trait Broker: Send {
    /// Ends it by this signal; it is no more when this returns.
    fn down(&mut self, signal: &str);

    /// Starts it, and waits until it does what it is asked to.
    fn up(&mut self);

    /// Halts it (STOP), and lets it go on (CONT).
    fn signal(&self, signal: &str);
}

/// An exporter, and what must be true of all that it says.
pub(crate) struct Watched<'a> {
    exporter: Running,
    watch: Watch,
    /// Counters that grow while jobs flow.
    flows: &'a [&'static str],
    /// Depths, none of which is below the backlog while that is there.
    depths: &'a [&'static str],
    /// What is found in a read that was whole, while the backlog is there.
    there: &'a [&'static str],
    /// Asks the broker whether the backlog is there. It may be gone with a broker that keeps nothing.
    backlog: &'a dyn Fn() -> bool,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(exporter: Running, flows: &'a [&'static str], depths: &'a [&'static str]) -> Self {
        Self { exporter, watch: Watch::default(), flows, depths, there: depths, backlog: &|| true }
    }

    /// Waits until all that is to stay is there.
    pub(crate) fn once_filled(self) -> Self {
        let filled = |series: &&str, metrics: &str| value(metrics, series) >= Some(f64::from(BACKLOG));
        self.exporter
            .scrape_until("the backlog is there", |metrics| self.depths.iter().all(|series| filled(series, metrics)));
        self
    }

    pub(crate) fn with_backlog(self, backlog: &'a dyn Fn() -> bool) -> Self {
        Self { backlog, ..self }
    }

    pub(crate) fn there(self, there: &'a [&'static str]) -> Self {
        Self { there, ..self }
    }

    /// One scrape, which is compared with what is known to be true all the time that it took.
    fn scrape(&self, truth: &Mutex<Truth>) {
        let state = |truth: &Mutex<Truth>| truth.lock().unwrap().state;
        // what is down is not asked
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
                assert!(!metrics.contains("queue_depth{"), "nothing is known of what is down: {metrics}");
            }
            Some(State::Changing) | None => {}
        }
        if backlog_before && backlog_after {
            for series in self.depths {
                let depth = value(&metrics, series).unwrap_or(f64::INFINITY);
                assert!(depth >= f64::from(BACKLOG), "{series} {depth} is not true, {before:?}: {metrics}");
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
    /// In which round.
    Up(u32),
    Down(u32),
}

/// What is known to be true, and what exporters have said in this state of affairs, by their process.
struct Truth {
    state: State,
    seen: HashMap<u32, Seen>,
}

#[derive(Default)]
struct Seen {
    scrapes: u32,
    /// The counters when they were first seen, and whether all have grown since.
    flowed: Vec<f64>,
    grown: bool,
}

/// Ends the broker again and again, by TERM and by KILL, and halts it, in turn, while every exporter is scraped all the time.
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
            assert!(!over.load(Ordering::Relaxed), "the scrapes have ended");
            let seen = &truth.lock().unwrap().seen;
            (seen.len() == count && seen.values().all(enough)).then_some(())
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let _over = Stop(&over);
            for round in 0..rounds {
                enter(State::Up(round));
                seen("jobs flow", &|seen| seen.scrapes >= 5 && seen.grown);
                enter(State::Changing);
                match ["TERM", "KILL", "STOP"][round as usize % 3] {
                    "STOP" => {
                        broker.signal("STOP");
                        enter(State::Down(round));
                        seen("it is halted", &|seen| seen.scrapes >= 1); // each takes as long as a scrape may
                        enter(State::Changing);
                        broker.signal("CONT");
                        seen("it goes on", &|seen| seen.scrapes >= 2);
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
            seen("jobs flow again", &|seen| seen.scrapes >= 5 && seen.grown);
        });
        let _over = Stop(&over);
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            for exporter in exporters {
                exporter.scrape(&truth);
            }
            thread::sleep(PACE.saturating_sub(began.elapsed()));
        }
    });
}

/// How often exporters are scraped.
const PACE: Duration = Duration::from_millis(200);

/// Tells that something is over, also when it ended badly.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long a client waits for an answer: a server that is halted gives none.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// Between two jobs: enough of them, and some of the machine for others.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Runs until told to stop; after an error it begins anew, as clients do.
pub(crate) fn again_and_again<E>(stop: &AtomicBool, mut jobs: impl FnMut() -> Result<(), E>) {
    while !stop.load(Ordering::Relaxed) {
        let _ = jobs();
        thread::sleep(PAUSE); // the broker is down: not to be asked in a tight loop
    }
}

/// Starts a client that runs until it is killed.
pub(crate) fn started(mut client: Command) -> Ended {
    Ended(client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}
