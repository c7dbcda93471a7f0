//! Limits of connections: deadlines for slow and idle clients, and bounds on their number and memory.
//!
//! A connection either waits for a request, is being processed, or sends a response. Each of these has a deadline.
//! If too many connections are open, the longest-waiting one of the address with the most is closed. If unsent responses
//! fill the memory, the one without progress for the longest time is closed. If a scrape waits for room, slow clients
//! are disconnected earlier.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::fair_queue::network;
use crate::exposition::family::Family;

/// The limit of open connections, if the limit of file descriptors is high enough.
const MAX_CONNECTIONS: usize = 512;
/// One of so many slots is reserved: new connections do not wait for the end of closed ones until the reserve is used up.
const RESERVED: usize = 8;
/// The interval of attempts to close another connection while a new one waits for a slot.
const EVICT_INTERVAL: Duration = Duration::from_millis(100);
/// The minimum interval between log lines about closed connections.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The limit of unsent response bytes on all connections.
const MAX_UNSENT: usize = 16 * 1024 * 1024;
/// The time limit for the TLS handshake and the request headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of checks of the deadlines, which is the shortest time limit.
const CHECK_INTERVAL: Duration = HEADER_TIMEOUT;
/// The time limit between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// The time limits of a response without progress, and with slow progress.
const STALLED_TIMEOUT: Duration = Duration::from_secs(10);
const SLOW_TIMEOUT: Duration = Duration::from_secs(60);
/// The same time limits while a scrape waits for room.
const STALLED_UNDER_PRESSURE: Duration = Duration::from_secs(2);
const SLOW_UNDER_PRESSURE: Duration = Duration::from_secs(10);
/// The time limit for the request headers during shutdown.
const SHUTDOWN_HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// All connections.
pub(crate) struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    /// The limit of open connections.
    limit: usize,
    slots: Arc<Semaphore>,
    /// The number of connections that were closed early, by reason.
    evicted: [AtomicU64; 2],
    /// When such a connection was logged.
    logged: Mutex<Option<Instant>>,
    next: AtomicU64,
    unsent: AtomicUsize,
    pub(super) stop: watch::Sender<bool>,
}

/// The slot of an open connection, which is freed when it is dropped.
pub(crate) struct ConnectionSlot {
    pub(super) connections: Arc<Connections>,
    id: u64,
    pub(super) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

/// A connection and its state.
pub(super) struct Connection {
    /// The client's address.
    address: Option<IpAddr>,
    state: Mutex<ConnectionState>,
    /// Notified when the connection is closed before its deadline, or the exporter stops.
    changed: Notify,
    /// Whether it had a response since it last waited for its client.
    responded: AtomicBool,
}

struct ConnectionState {
    waits: WaitingFor,
    /// When the client sent its first bytes.
    first_read: Option<Instant>,
    /// The start of waiting for a request.
    since: Instant,
    /// The number of requests in progress.
    requests: usize,
    /// The number of responses, and of their pieces, that are not sent completely.
    unsent: usize,
    sending_since: Instant,
    progress: Instant,
    /// Several requests share the connection, so incoming bytes are not always request headers.
    multiplexed: bool,
    /// The reason why it is closed before its deadline.
    evicted: Option<&'static str>,
    stopping: bool,
    /// Whether the client must not see a regular end of the connection.
    reset: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum WaitingFor {
    /// For the first request.
    First,
    /// For another request.
    Idle,
    /// For the rest of the headers.
    Headers,
}

/// Why a connection is closed before its deadline.
#[derive(Clone, Copy)]
enum Eviction {
    Connections,
    Memory,
}

impl Eviction {
    const ALL: [Self; 2] = [Self::Connections, Self::Memory];

    /// The value of the label `reason`.
    fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }

    /// The reason in the log.
    fn text(self) -> &'static str {
        match self {
            Self::Connections => "too many connections are open",
            Self::Memory => "the client reads the response too slowly, and another scrape needs its memory",
        }
    }
}

/// Half of the file descriptors are for clients; the rest is for files, sources and listeners.
fn connection_limit(descriptors: Option<u64>) -> usize {
    let half = descriptors.and_then(|descriptors| usize::try_from(descriptors / 2).ok());
    half.map_or(MAX_CONNECTIONS, |half| half.clamp(1, MAX_CONNECTIONS))
}

impl Connections {
    pub(crate) fn new() -> Arc<Self> {
        let limit = connection_limit(getrlimit(Resource::Nofile).current);
        Arc::new(Self {
            open: Mutex::default(),
            limit,
            slots: Arc::new(Semaphore::new(limit)),
            evicted: Default::default(),
            logged: Mutex::default(),
            next: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
        })
    }

    /// A slot for a new connection, for which another one may be closed.
    pub(crate) async fn slot(self: &Arc<Self>, address: Option<IpAddr>) -> Option<ConnectionSlot> {
        let permit = loop {
            if self.slots.available_permits() <= self.limit / RESERVED {
                self.evict_waiting();
            }
            // all may have been busy, so that none was closed
            if let Ok(permit) = tokio::time::timeout(EVICT_INTERVAL, self.slots.clone().acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let connection = Arc::new(Connection::new(address));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, connection.clone());
        Some(ConnectionSlot { connections: self.clone(), id, connection, _permit: permit })
    }

    /// Closes one connection of the address with the most connections: the one that has waited longest for its client.
    pub(super) fn evict_waiting(&self) {
        let mut of_address = HashMap::<_, usize>::new();
        for connection in lock(&self.open).values() {
            *of_address.entry(connection.address).or_default() += 1;
        }
        self.evict(Eviction::Connections, |connection, state| {
            let since = match (state.unsent, state.requests) {
                (0, 0) => state.since.max(state.first_read.unwrap_or(state.since)),
                (0, _) => return None,
                _ => state.progress,
            };
            let connections = of_address.get(&connection.address).copied();
            Some((Reverse(connections), since))
        });
    }

    /// Closes the connection with the lowest rank.
    fn evict<R: Ord>(&self, why: Eviction, rank: impl Fn(&Connection, &ConnectionState) -> Option<R>) {
        let open = lock(&self.open);
        let ranked = open.values().filter_map(|connection| {
            let state = lock(&connection.state);
            let rank = state.evicted.is_none().then(|| rank(connection, &state)).flatten()?;
            Some((rank, connection))
        });
        if let Some((_, connection)) = ranked.min_by(|(rank, _), (other, _)| rank.cmp(other)) {
            self.close(connection, why);
        }
    }

    fn close(&self, connection: &Connection, why: Eviction) {
        if !connection.evict(why.text()) {
            return;
        }
        self.evicted[why as usize].fetch_add(1, Ordering::Relaxed);
        let mut logged = lock(&self.logged);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            *logged = Some(Instant::now());
            tracing::warn!(reason = why.text(), limit = self.limit, "a client's connection was closed");
        }
    }

    /// `exporter_connections_evicted_total`
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut evicted = Family::counter(
            "exporter_connections_evicted_total",
            "Total number of client connections closed to make room for others, by the limit that was reached.",
            &["reason"],
        );
        for reason in Eviction::ALL {
            evicted.push(&[reason.label()], self.evicted[reason as usize].load(Ordering::Relaxed));
        }
        vec![evicted]
    }

    /// Closes all connections that hold a response and are slow, to make room for another response.
    pub(super) fn evict_slow(&self) {
        let now = Instant::now();
        for connection in lock(&self.open).values() {
            let slow = {
                let state = lock(&connection.state);
                let stalled = state.progress + STALLED_UNDER_PRESSURE <= now;
                state.unsent > 0 && (stalled || state.sending_since + SLOW_UNDER_PRESSURE <= now)
            };
            if slow {
                self.close(connection, Eviction::Memory);
            }
        }
    }

    /// Waits until every connection has finished its requests. Returns false after the time limit.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        self.stop.send_replace(true);
        for connection in lock(&self.open).values() {
            let mut state = lock(&connection.state);
            state.stopping = true;
            state.since = state.since.max(Instant::now());
            connection.changed.notify_one();
        }
        tokio::time::timeout(within, self.slots.acquire_many(self.limit as u32)).await.is_ok()
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
            first_read: None,
            since: now,
            requests: 0,
            unsent: 0,
            sending_since: now,
            progress: now,
            multiplexed: false,
            evicted: None,
            stopping: false,
            reset: false,
        }
    }

    /// The deadline of the connection and its reason; none while a request is in progress.
    fn deadline(&self) -> Option<(Instant, &'static str)> {
        if let Some(why) = self.evicted {
            return Some((self.since, why));
        }
        if self.unsent > 0 {
            let (stalled, slow) = (self.progress + STALLED_TIMEOUT, self.sending_since + SLOW_TIMEOUT);
            return Some((stalled.min(slow), "the client does not read the response"));
        }
        if self.requests > 0 {
            return None;
        }
        Some(match self.waits {
            _ if self.stopping => (self.since + SHUTDOWN_HEADER_TIMEOUT, "the exporter is stopping"),
            WaitingFor::First | WaitingFor::Headers => (self.since + HEADER_TIMEOUT, "no request received"),
            WaitingFor::Idle => (self.since + IDLE_TIMEOUT, "idle"),
        })
    }

    /// Starts waiting for a request, if no request and no response is in progress.
    fn settle(&mut self) {
        if self.requests == 0 && self.unsent == 0 {
            (self.waits, self.since) = (WaitingFor::Idle, Instant::now());
        }
    }
}

impl Connection {
    fn new(address: Option<IpAddr>) -> Self {
        let state = Mutex::new(ConnectionState::new(Instant::now()));
        Self { address: address.map(network), state, changed: Notify::new(), responded: AtomicBool::new(false) }
    }

    /// Returns the reason when the deadline of the connection has passed. No request changes the timer: every new deadline
    /// is at least as long away as the interval of checks.
    pub(super) async fn overdue(&self) -> &'static str {
        loop {
            let now = Instant::now();
            let (deadline, interval) = {
                let state = lock(&self.state);
                (state.deadline(), if state.stopping { SHUTDOWN_HEADER_TIMEOUT } else { CHECK_INTERVAL })
            };
            let next = match deadline {
                Some((at, why)) if at <= now => return why,
                Some((at, _)) => at.min(now + interval),
                None => now + interval,
            };
            let _ = tokio::time::timeout_at(next, self.changed.notified()).await; // check in either case
        }
    }

    /// Closes the connection before its deadline. Returns whether it was not closed before.
    fn evict(&self, why: &'static str) -> bool {
        let mut state = lock(&self.state);
        let is_new = state.evicted.is_none();
        state.evicted.get_or_insert(why);
        drop(state);
        self.changed.notify_one();
        is_new
    }

    /// Makes the connection close with a TCP reset.
    pub(super) fn reset(&self) {
        lock(&self.state).reset = true;
    }

    /// Whether the connection must be reset. A response is incomplete: without Content-Length, the client would take a
    /// regular close for its end.
    pub(super) fn must_reset(&self) -> bool {
        let state = lock(&self.state);
        state.reset || state.unsent > 0
    }

    /// Several requests share the connection.
    pub(super) fn set_multiplexed(&self, multiplexed: bool) {
        lock(&self.state).multiplexed = multiplexed;
    }

    pub(super) fn read(&self) {
        let mut state = lock(&self.state);
        state.first_read.get_or_insert_with(Instant::now);
        if state.waits == WaitingFor::Idle && state.requests == 0 && state.unsent == 0 && !state.multiplexed {
            (state.waits, state.since) = (WaitingFor::Headers, Instant::now());
        }
    }

    /// Called when the client has sent nothing more.
    pub(super) fn on_read_pending(&self) {
        self.responded.store(false, Ordering::Relaxed);
    }

    pub(super) fn written(&self) {
        let mut state = lock(&self.state);
        if state.unsent > 0 {
            state.progress = Instant::now();
        }
    }
}

/// A request in progress.
pub(crate) struct RequestGuard {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl RequestGuard {
    pub(super) fn begin(connections: &Arc<Connections>, connection: &Arc<Connection>) -> Self {
        lock(&connection.state).requests += 1;
        Self { connections: connections.clone(), connection: connection.clone() }
    }

    /// Lets other connections go first if the client has pipelined this request. Otherwise hyper responds to up to 16
    /// requests of one connection in a row.
    pub(super) async fn yield_if_pipelined(self) -> Self {
        if self.connection.responded.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        self
    }

    /// A request of another HTTP server, whose connections have no deadlines here.
    pub(super) fn unmonitored(connections: &Arc<Connections>) -> Self {
        Self::begin(connections, &Arc::new(Connection::new(None)))
    }

    /// A complete response body, which counts as unsent until it is dropped.
    pub(super) fn complete(&self, body: Vec<u8>) -> Bytes {
        if body.is_empty() {
            return Bytes::new();
        }
        let length = body.len();
        let sending = Sending::begin(self, length);
        let before = self.connections.unsent.load(Ordering::Relaxed) - length;
        if before > 0 && before + length > MAX_UNSENT {
            let now = Instant::now();
            self.connections.evict(Eviction::Memory, |_, state| {
                (state.unsent > 0 && state.progress < now).then_some(state.progress)
            });
        }
        Bytes::from_owner(UnsentBody { body, _sending: sending })
    }

    /// The pieces of a response body. After an error the connection is reset.
    pub(super) fn pieces<E>(
        self,
        mut pieces: impl Iterator<Item = Result<Vec<u8>, E>>,
    ) -> impl Iterator<Item = Result<Bytes, E>> {
        let sending = Sending::begin(&self, 0);
        std::iter::from_fn(move || {
            let _ = &sending; // until the last piece
            let piece = pieces.next()?;
            if piece.is_err() {
                self.connection.reset();
            }
            Some(piece.map(|piece| self.complete(piece)))
        })
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.connection.responded.store(true, Ordering::Relaxed);
        let mut state = lock(&self.connection.state);
        state.requests -= 1;
        state.settle();
    }
}

/// A response body, or a piece of one, that is not sent yet.
struct UnsentBody {
    body: Vec<u8>,
    _sending: Sending,
}

impl AsRef<[u8]> for UnsentBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// A response, or a piece of one, counts as unsent until this is dropped.
struct Sending {
    length: usize,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Sending {
    fn begin(request: &RequestGuard, length: usize) -> Self {
        let mut state = lock(&request.connection.state);
        if state.unsent == 0 {
            let now = Instant::now();
            (state.sending_since, state.progress) = (now, now);
        }
        state.unsent += 1;
        drop(state);
        request.connections.unsent.fetch_add(length, Ordering::Relaxed);
        Self { length, connections: request.connections.clone(), connection: request.connection.clone() }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.connections.unsent.fetch_sub(self.length, Ordering::Relaxed);
        let mut state = lock(&self.connection.state);
        state.unsent -= 1;
        state.settle();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // always consistent
}

#[cfg(test)]
mod tests;
