//! Connections and their limits: slow, silent and stuck clients cost the others nothing, and memory that has a bound.
//!
//! A connection either waits for a request, is being answered, or takes an answer. Each of these has a deadline.
//! When there are too many connections the one that has been waiting longest makes room; when answers that
//! nobody takes fill the memory, the one that was longest without progress does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::listen::Stream;
use crate::site::{self, Site};

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
/// How long the head of a request may be, in bytes; a longer one is answered 431.
const MAX_HEAD: usize = 32 * 1024;
/// How long a connection that has begun to send a request has at the end of the process.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// All connections.
pub(crate) struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Watched>>>,
    places: Arc<Semaphore>,
    next: AtomicU64,
    unsent: AtomicUsize,
    stop: watch::Sender<bool>,
}

/// A connection's place among all, given back at its end.
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    watched: Arc<Watched>,
    _permit: OwnedSemaphorePermit,
}

/// What is known of a connection.
struct Watched {
    state: Mutex<State>,
    /// The deadline may have become earlier.
    changed: Notify,
}

struct State {
    waits: Waits,
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
enum Waits {
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
    pub(crate) async fn place(self: &Arc<Self>) -> Option<Place> {
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
        let watched = Arc::new(Watched { state: Mutex::new(State::new(Instant::now())), changed: Notify::new() });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, watched.clone());
        Some(Place { connections: self.clone(), id, watched, _permit: permit })
    }

    /// Ends the connection of the earliest time that `rank` gives.
    fn evict(&self, rank: impl Fn(&State) -> Option<Instant>) {
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

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.connections.open).remove(&self.id);
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            waits: Waits::First,
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
            Waits::First | Waits::Head => (self.since + HEAD, "no request came"),
            Waits::Idle => (self.since + IDLE, "it was idle"),
        })
    }

    /// The connection waits again, if nothing else goes on.
    fn settle(&mut self) {
        if self.requests == 0 && self.unsent == 0 {
            (self.waits, self.since) = (Waits::Idle, Instant::now());
        }
    }
}

impl Watched {
    /// Ends when the connection has passed its deadline.
    async fn overdue(&self) -> &'static str {
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

    fn read(&self) {
        let mut state = lock(&self.state);
        if state.waits == Waits::Idle && state.requests == 0 && state.unsent == 0 && !state.multiplexed {
            (state.waits, state.since) = (Waits::Head, Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    fn written(&self) {
        let mut state = lock(&self.state);
        if state.unsent > 0 {
            state.progress = Instant::now();
        }
    }
}

/// A request that is being answered.
pub(crate) struct Request {
    connections: Arc<Connections>,
    watched: Arc<Watched>,
}

impl Request {
    fn begin(connections: &Arc<Connections>, watched: &Arc<Watched>) -> Self {
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
        let body = Unsent { body, connections: self.connections.clone(), watched: self.watched.clone() };
        if before > 0 && before + length > MAX_UNSENT {
            self.connections.evict(|state| (state.unsent > 0 && state.progress < now).then_some(state.progress));
        }
        Bytes::from_owner(body)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = lock(&self.watched.state);
        state.requests -= 1;
        state.settle();
        drop(state);
        self.watched.changed.notify_one();
    }
}

/// A body, until it is sent.
struct Unsent {
    body: Vec<u8>,
    connections: Arc<Connections>,
    watched: Arc<Watched>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.connections.unsent.fetch_sub(self.body.len(), Ordering::Relaxed);
        let mut state = lock(&self.watched.state);
        state.unsent -= self.body.len();
        state.settle();
        drop(state);
        self.watched.changed.notify_one();
    }
}

/// Serves a client to its end.
pub(crate) async fn serve(stream: Box<dyn Stream>, peer: Option<IpAddr>, place: Place, site: Arc<Site>) {
    let watched = place.watched.clone();
    tokio::select! {
        served = converse(stream, peer, &place, site) => if let Err(error) = served {
            tracing::debug!(error = format!("{error:#}"), "connection ended badly");
        },
        why = watched.overdue() => tracing::debug!(why, "connection closed"),
    }
}

async fn converse(stream: Box<dyn Stream>, peer: Option<IpAddr>, place: &Place, site: Arc<Site>) -> Result<()> {
    let mut stream = Wire { stream, watched: place.watched.clone(), first: Bytes::new() };
    let tls = site.web.settings().await.tls.clone();
    let plain = tls.is_none();
    let (stream, http2): (Box<dyn Stream>, bool) = match tls {
        None => (Box::new(stream), false),
        Some(tls) => {
            let mut first = [0; 5];
            stream.read_exact(&mut first).await?;
            if is_http(&first) {
                return refuse_plain(stream).await;
            }
            stream.first = Bytes::copy_from_slice(&first);
            let stream = match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((error, stream)) => {
                    linger(stream).await?;
                    return Err(error).context("TLS");
                }
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Box::new(stream), http2)
        }
    };
    lock(&place.watched.state).multiplexed = http2;
    let (connections, watched) = (place.connections.clone(), place.watched.clone());
    let routes = site::routes(site, peer, move || Request::begin(&connections, &watched));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        // CONNECT names a host and no path, which warp's path filter panics at
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = http::Uri::from_static("/");
        }
        routes.call(request)
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    // the deadlines are ours
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD);
    builder.http2().max_concurrent_streams(32).max_header_list_size(MAX_HEAD as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stop = place.connections.stop.subscribe();
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(|error| {
        let parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let error = anyhow::anyhow!(error);
        if parse && plain { error.context("no HTTP request came; a client that speaks TLS?") } else { error }
    })
}

/// Whether a client that should greet in TLS sends a request, as Go tells it.
fn is_http(first: &[u8; 5]) -> bool {
    matches!(first, b"GET /" | b"HEAD " | b"POST " | b"PUT /" | b"OPTIO")
}

async fn refuse_plain(mut stream: Wire) -> Result<()> {
    let answer = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
                   Client sent an HTTP request to an HTTPS server.\n";
    stream.write_all(answer).await?;
    linger(stream).await
}

/// Closes a connection such that the last words reach the client: one that is closed before everything was read is
/// reset, and they may be lost.
async fn linger(mut stream: Wire) -> Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_HEAD as u64), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The stream, which tells of progress.
struct Wire {
    stream: Box<dyn Stream>,
    watched: Arc<Watched>,
    /// Bytes that were read ahead.
    first: Bytes,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.watched.read();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.watched.written();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers));
        self.watched.written();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // whole at any time
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn ends_after(watched: &Watched) -> (Duration, &'static str) {
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

        drop(Request::begin(&connections, watched).answer(b"taken at once".to_vec()));
        assert_eq!(ends_after(watched).await, (IDLE, "it was idle"));

        watched.read();
        tokio::time::advance(Duration::from_secs(7)).await;
        watched.read();
        assert_eq!(ends_after(watched).await, (HEAD - Duration::from_secs(7), "no request came"));

        let request = Request::begin(&connections, watched);
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
        let busy = Request::begin(&connections, &places[0].watched);
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
            answers.push(Request::begin(&connections, &place.watched).answer(vec![0; MAX_UNSENT / 3]));
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
        let _request = Request::begin(&connections, &watched);
        assert!(watched.overdue().now_or_never().is_none(), "what is being answered is not");
    }
}
