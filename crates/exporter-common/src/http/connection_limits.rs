//! Limits of connections: deadlines for slow and idle clients, and bounds on their number and memory.
//!
//! A connection either waits for a request, is being answered, or sends a response. Each of these has a deadline.
//! If too many connections are open, the longest-waiting one is closed. If unsent responses fill the memory, the one
//! without progress for the longest time is closed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// How many connections are open at once.
pub(crate) const MAX_CONNECTIONS: usize = 512;
/// How many bytes of answers wait to be taken, on all connections.
const MAX_UNSENT: usize = 64 * 1024 * 1024;
/// How long a client may take to greet and send the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(120);
/// How long an answer may wait for a client that takes nothing, and for one that takes it slowly.
const STALLED: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_secs(60);
/// How long a connection that has begun to send a request has at the end of the process.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// All connections.
pub(crate) struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    unsent: AtomicUsize,
    pub(super) stop: watch::Sender<bool>,
}

/// A connection's place among all, given back at its end.
pub(crate) struct ConnectionSlot {
    pub(super) connections: Arc<Connections>,
    id: u64,
    pub(super) watched: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a connection.
pub(super) struct Connection {
    state: Mutex<ConnectionState>,
    /// The deadline may have become earlier.
    changed: Notify,
}

struct ConnectionState {
    waits: WaitingFor,
    /// Since when it waits for a request.
    since: Instant,
    /// Requests that are being answered.
    requests: usize,
    /// Bytes of answers that the client has not taken.
    unsent: usize,
    sending_since: Instant,
    progress: Instant,
    /// Several requests share the connection; what arrives need not be the head of one.
    multiplexed: bool,
    evicted: bool,
    stopping: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum WaitingFor {
    /// For the first request.
    First,
    /// For a further one.
    Idle,
    /// For the rest of a head.
    Head,
}

impl Connections {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            next: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
        })
    }

    /// A place for one more, for which another may have to go.
    pub(crate) async fn place(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.evict(|state| match (state.unsent, state.requests) {
                    (0, 0) => Some(state.since),
                    (0, _) => None,
                    _ => Some(state.progress),
                });
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let watched =
            Arc::new(Connection { state: Mutex::new(ConnectionState::new(Instant::now())), changed: Notify::new() });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, watched.clone());
        Some(ConnectionSlot { connections: self.clone(), id, watched, _permit: permit })
    }

    /// Ends the connection of the earliest time that `rank` gives.
    fn evict(&self, rank: impl Fn(&ConnectionState) -> Option<Instant>) {
        let open = lock(&self.open);
        let ranked = open.values().filter_map(|watched| {
            let state = lock(&watched.state);
            (!state.evicted).then(|| rank(&state)).flatten().map(|time| (time, watched))
        });
        if let Some((_, watched)) = ranked.min_by_key(|(time, _)| *time) {
            lock(&watched.state).evicted = true;
            watched.changed.notify_one();
        }
    }

    /// Lets every connection end what it is at, and waits for that; false if the time was too short.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        self.stop.send_replace(true);
        for watched in lock(&self.open).values() {
            let mut state = lock(&watched.state);
            state.stopping = true;
            state.since = state.since.max(Instant::now());
            watched.changed.notify_one();
        }
        tokio::time::timeout(within, self.places.acquire_many(MAX_CONNECTIONS as u32)).await.is_ok()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.connections.open).remove(&self.id);
    }
}

impl ConnectionState {
    fn new(now: Instant) -> Self {
        Self {
            waits: WaitingFor::First,
            since: now,
            requests: 0,
            unsent: 0,
            sending_since: now,
            progress: now,
            multiplexed: false,
            evicted: false,
            stopping: false,
        }
    }

    /// When the connection is to be ended, and why; never while a request is being answered.
    fn deadline(&self) -> Option<(Instant, &'static str)> {
        if self.evicted {
            return Some((self.since, "it made room"));
        }
        if self.unsent > 0 {
            let (stalled, slow) = (self.progress + STALLED, self.sending_since + SLOW);
            return Some((stalled.min(slow), "the answer was not taken"));
        }
        if self.requests > 0 {
            return None;
        }
        Some(match self.waits {
            _ if self.stopping => (self.since + LAST_HEAD, "the exporter stops"),
            WaitingFor::First | WaitingFor::Head => (self.since + HEAD, "no request came"),
            WaitingFor::Idle => (self.since + IDLE, "it was idle"),
        })
    }

    /// The connection waits again, if nothing else goes on.
    fn settle(&mut self) {
        if self.requests == 0 && self.unsent == 0 {
            (self.waits, self.since) = (WaitingFor::Idle, Instant::now());
        }
    }
}

impl Connection {
    /// Ends when the connection has passed its deadline.
    pub(super) async fn overdue(&self) -> &'static str {
        loop {
            let deadline = lock(&self.state).deadline();
            match deadline {
                Some((at, why)) if at <= Instant::now() => return why,
                Some((at, _)) => {
                    let _ = tokio::time::timeout_at(at, self.changed.notified()).await; // either way: look again
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Several requests share the connection.
    pub(super) fn set_multiplexed(&self, multiplexed: bool) {
        lock(&self.state).multiplexed = multiplexed;
    }

    pub(super) fn read(&self) {
        let mut state = lock(&self.state);
        if state.waits == WaitingFor::Idle && state.requests == 0 && state.unsent == 0 && !state.multiplexed {
            (state.waits, state.since) = (WaitingFor::Head, Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(super) fn written(&self) {
        let mut state = lock(&self.state);
        if state.unsent > 0 {
            state.progress = Instant::now();
        }
    }
}

/// A request that is being answered.
pub(crate) struct RequestGuard {
    connections: Arc<Connections>,
    watched: Arc<Connection>,
}

impl RequestGuard {
    pub(super) fn begin(connections: &Arc<Connections>, watched: &Arc<Connection>) -> Self {
        lock(&watched.state).requests += 1;
        Self { connections: connections.clone(), watched: watched.clone() }
    }

    /// The body of the answer, which counts as unsent until the client has taken it.
    pub(crate) fn answer(self, body: Vec<u8>) -> Bytes {
        if body.is_empty() {
            return Bytes::new();
        }
        let length = body.len();
        let mut state = lock(&self.watched.state);
        let now = Instant::now();
        if state.unsent == 0 {
            (state.sending_since, state.progress) = (now, now);
        }
        state.unsent += length;
        drop(state);
        let before = self.connections.unsent.fetch_add(length, Ordering::Relaxed);
        let body = UnsentBody { body, connections: self.connections.clone(), watched: self.watched.clone() };
        if before > 0 && before + length > MAX_UNSENT {
            self.connections.evict(|state| (state.unsent > 0 && state.progress < now).then_some(state.progress));
        }
        Bytes::from_owner(body)
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.watched.state);
        state.requests -= 1;
        state.settle();
        drop(state);
        self.watched.changed.notify_one();
    }
}

/// A body, until it is sent.
struct UnsentBody {
    body: Vec<u8>,
    connections: Arc<Connections>,
    watched: Arc<Connection>,
}

impl AsRef<[u8]> for UnsentBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for UnsentBody {
    fn drop(&mut self) {
        self.connections.unsent.fetch_sub(self.body.len(), Ordering::Relaxed);
        let mut state = lock(&self.watched.state);
        state.unsent -= self.body.len();
        state.settle();
        drop(state);
        self.watched.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // whole at any time
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn ends_after(watched: &Connection) -> (Duration, &'static str) {
        let begun = Instant::now();
        let why = watched.overdue().await;
        (begun.elapsed(), why)
    }

    #[tokio::test(start_paused = true)]
    async fn every_way_of_keeping_a_connection_has_an_end() {
        let connections = Connections::new();
        let place = connections.place().await.unwrap();
        let watched = &place.watched;
        assert_eq!(ends_after(watched).await, (HEAD, "no request came"));

        drop(RequestGuard::begin(&connections, watched).answer(b"taken at once".to_vec()));
        assert_eq!(ends_after(watched).await, (IDLE, "it was idle"));

        watched.read();
        tokio::time::advance(Duration::from_secs(7)).await;
        watched.read();
        assert_eq!(ends_after(watched).await, (HEAD - Duration::from_secs(7), "no request came"));

        let request = RequestGuard::begin(&connections, watched);
        tokio::time::advance(10 * IDLE).await;
        assert!(watched.overdue().now_or_never().is_none(), "a request is being answered");
        let answer = request.answer(vec![0; 1000]);
        assert_eq!(connections.unsent.load(Ordering::Relaxed), 1000);
        tokio::time::advance(STALLED / 2).await;
        watched.written();
        assert_eq!(ends_after(watched).await, (STALLED, "the answer was not taken"));
        for _ in 0..5 {
            tokio::time::advance(STALLED - Duration::from_secs(1)).await;
            watched.written();
        }
        assert_eq!(ends_after(watched).await, (Duration::ZERO, "the answer was not taken"), "also when it is slow");
        drop(answer);
        assert_eq!(connections.unsent.load(Ordering::Relaxed), 0);
        assert_eq!(ends_after(watched).await, (IDLE, "it was idle"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_waited_longest_makes_room() {
        let connections = Connections::new();
        let mut places = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            places.push(connections.place().await.unwrap());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let busy = RequestGuard::begin(&connections, &places[0].watched);
        assert!(connections.place().now_or_never().is_none(), "there is no room yet");
        assert!(places[0].watched.overdue().now_or_never().is_none(), "it is being answered");
        assert_eq!(places[1].watched.overdue().now_or_never(), Some("it made room"));
        assert!(places[2].watched.overdue().now_or_never().is_none());
        places.remove(1);
        assert!(connections.place().await.is_some());
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_nobody_takes_have_a_bound() {
        let connections = Connections::new();
        let mut places = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..4 {
            let place = connections.place().await.unwrap();
            answers.push(RequestGuard::begin(&connections, &place.watched).answer(vec![0; MAX_UNSENT / 3]));
            places.push(place);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let ended: Vec<_> = places.iter().map(|place| place.watched.overdue().now_or_never()).collect();
        assert_eq!(ended, [Some("it made room"), None, None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_those_that_wait_are_closed_soon() {
        let connections = Connections::new();
        let place = connections.place().await.unwrap();
        let watched = place.watched.clone();
        let served = tokio::spawn(async move {
            let why = place.watched.overdue().await;
            drop(place);
            why
        });
        tokio::task::yield_now().await;
        let begun = Instant::now();
        assert!(connections.drain(Duration::from_secs(5)).await);
        assert_eq!((begun.elapsed(), served.await.unwrap()), (LAST_HEAD, "the exporter stops"));
        let _request = RequestGuard::begin(&connections, &watched);
        assert!(watched.overdue().now_or_never().is_none(), "what is being answered is not");
    }
}
