//! Follows Celery's events, which workers publish and Redis does not keep.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::events::EventCounts;
use crate::queue_system::{ListedQueue, QueueId, Statistics};
use crate::read_error::{Reason, read_error, reason};
use crate::redis::{RedisClient, escape_glob};

pub(super) struct Follower {
    /// The patterns of the channels of events.
    channels: [String; 2],
    counts: Mutex<EventCounts>,
    /// Whether the subscription is active, or why not.
    state: watch::Sender<State>,
    gaps: AtomicU64,
    /// Whether events were lost since the last read.
    has_gap: AtomicBool,
}

/// What the events are counted as.
#[derive(Default)]
pub(super) struct EventsRead {
    pub(super) tasks: Vec<ListedQueue>,
    /// The counters of tasks whose names are unknown.
    pub(super) others: Statistics,
    /// The number of workers that are alive and lost; `None` if unknown.
    pub(super) workers: Option<[u64; 2]>,
}

#[derive(Clone, Debug)]
enum State {
    /// With `--once`, nothing is followed.
    Idle,
    Starting,
    Subscribed,
    Failed(Reason, String),
}

/// The time before a failed subscription is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long subscribing may take: the first list of queues waits for it.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

const GAP: &str = "events were published while there was no subscription: counters lack some tasks";

const NO_TASK_EVENTS: &str = "Celery's workers accept tasks without sending events: start them with -E \
                              (worker_send_task_events = True)";

impl Follower {
    /// For the events of a database with a prefix of all keys, which channels have too.
    pub(super) fn new(prefix: &str, database: u32) -> Self {
        let channel = format!("{}/{database}.celeryev", escape_glob(prefix));
        // the second one is used with the setting fanout_patterns = False
        let channels = [format!("{channel}/*"), channel];
        let state = watch::Sender::new(State::Idle);
        Self { channels, counts: Mutex::default(), state, gaps: AtomicU64::new(0), has_gap: AtomicBool::new(false) }
    }

    /// The number of times the subscription was lost.
    pub(super) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Reads events for the life of the process.
    pub(super) async fn run(&self, redis: &RedisClient) {
        self.state.send_replace(State::Starting);
        loop {
            let error = self.follow(redis).await;
            if matches!(*self.state.borrow(), State::Subscribed) {
                self.note_gap();
            }
            self.state.send_replace(State::Failed(reason(&error), format!("{error:#}")));
            sleep(RETRY_DELAY).await;
        }
    }

    /// Reads events until the subscription is lost.
    async fn follow(&self, redis: &RedisClient) -> Error {
        let late = |_| Err(read_error(Reason::Timeout, "no response"));
        let subscription = timeout(SUBSCRIBE_TIMEOUT, redis.subscribe(&self.channels)).await;
        let mut subscription = match subscription.unwrap_or_else(late) {
            Ok(subscription) => subscription,
            Err(error) => return error,
        };
        self.counts().subscribed(Instant::now());
        self.state.send_replace(State::Subscribed);
        let mut has_warned = false;
        loop {
            let message = match subscription.next().await {
                Ok(message) => message,
                Err(error) => return error,
            };
            let mut counts = self.counts();
            if let Err(error) = counts.count(&message, Instant::now()) {
                tracing::debug!(error = format!("{error:#}"), "cannot parse events of Celery");
                self.note_gap();
            }
            if counts.lacks_task_events() && !has_warned {
                has_warned = true;
                tracing::warn!("{NO_TASK_EVENTS}");
            }
        }
    }

    /// The counters by task, and the workers. Waits for the first subscription. Without one, nothing is up to date.
    pub(super) async fn read(&self) -> Result<EventsRead> {
        let mut state = self.state.subscribe();
        // the sender is a field of this struct, so it is never dropped
        let _ = state.wait_for(|state| !matches!(state, State::Starting)).await;
        let state = state.borrow().clone();
        match state {
            State::Idle | State::Starting => return Ok(EventsRead::default()),
            State::Failed(reason, text) => {
                return Err(read_error(reason, format!("no subscription to the events: {text}")));
            }
            State::Subscribed => {}
        }
        let mut counts = self.counts();
        let mut read = EventsRead { workers: counts.workers(Instant::now()), ..EventsRead::default() };
        for (name, statistics) in counts.tasks() {
            match name {
                "" => read.others = statistics,
                name => {
                    let queue = QueueId { name: String::new(), scope: name.to_owned() };
                    read.tasks.push(ListedQueue { queue, statistics: Some(Ok(statistics)) });
                }
            }
        }
        read.others.gap = self.has_gap.swap(false, Ordering::Relaxed).then_some(GAP);
        Ok(read)
    }

    fn note_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.has_gap.store(true, Ordering::Relaxed);
    }

    fn counts(&self) -> MutexGuard<'_, EventCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
