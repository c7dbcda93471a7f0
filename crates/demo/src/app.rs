//! `demo app`: a web application with a configurable error rate, a status page and its own metrics.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use exporter_common::duration;
use prometheus::{Encoder, Gauge, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};
use serde_json::json;
use tokio::sync::Semaphore;
use warp::filters::BoxedFilter;
use warp::http::{Response, StatusCode, header};
use warp::{Filter, Reply};

use crate::numbers::whole;
use crate::server::{listen, serve};

/// The flags of `demo app`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Percentage of requests that succeed; the others get status 500
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = whole(0..=100_u8))]
    success_rate: u8,

    /// Listen address for / and /status
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,

    /// Listen address for the application's own metrics
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8002")]
    metrics_listen: String,

    /// Number of requests processed concurrently; additional requests wait
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole(1..=u16::MAX))]
    workers: u16,

    /// Average processing time of a request, with its unit: 500ms, 1s
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = duration::parse)]
    work: Duration,
}

/// The application is unhealthy while more than 75 % of its recent responses were errors.
const RECENT: usize = 100;
const UNHEALTHY_ABOVE: f64 = 0.75;
/// Minimum number of recent responses to judge the health.
const MIN_RECENT: usize = 20;

/// Runs the application until it is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    let pages = listen(&args.listen).await?;
    let metrics = listen(&args.metrics_listen).await?;
    let app = Arc::new(App::new(args.success_rate, args.workers.into(), args.work)?);
    tokio::try_join!(serve("app", pages, page_routes(app.clone())), serve("metrics", metrics, metric_routes(app)))?;
    Ok(())
}

struct App {
    success_rate: u8,
    work: Duration,
    started: Instant,
    /// One permit for each request being processed.
    workers: Semaphore,
    worker_count: usize,
    /// Number of requests waiting for a worker.
    pending: AtomicUsize,
    responses: Mutex<Responses>,
    registry: Registry,
}

/// Counts of the responses so far.
struct Responses {
    ok: IntCounter,
    failed: IntCounter,
    rate: Gauge,
    /// Whether each of the last responses was an error.
    recent: VecDeque<bool>,
}

impl App {
    fn new(success_rate: u8, worker_count: usize, work: Duration) -> Result<Self> {
        let registry = Registry::new();
        let help = "Total number of requests served, by HTTP status code.";
        let requests = IntCounterVec::new(Opts::new("requests_total", help), &["http_code"])?;
        registry.register(Box::new(requests.clone()))?;
        let rate = Gauge::new("rate_requests", "Percentage of responses with status 500.")?;
        let responses = Responses {
            ok: requests.with_label_values(&["200"]),
            failed: requests.with_label_values(&["500"]),
            rate,
            recent: VecDeque::new(),
        };
        Ok(Self {
            success_rate,
            work,
            started: Instant::now(),
            workers: Semaphore::new(worker_count),
            worker_count,
            pending: AtomicUsize::new(0),
            responses: Mutex::new(responses),
            registry,
        })
    }

    /// `/`: waits for a worker, takes some time, then succeeds or fails.
    async fn hello(&self) -> Response<String> {
        let waiting = Waiting::new(&self.pending);
        let _permit = self.workers.acquire().await; // never closed, so always a permit
        drop(waiting);
        tokio::time::sleep(self.work.mul_f64(2.0 * fastrand::f64())).await;
        if fastrand::u8(1..=100) > self.success_rate {
            self.count(true);
            plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
        } else {
            self.count(false);
            plain(StatusCode::OK, "Hello World!\n")
        }
    }

    fn count(&self, failed: bool) {
        let mut responses = self.lock();
        if responses.recent.is_empty() {
            // The percentage is undefined before the first response, so it is registered then.
            let registered = self.registry.register(Box::new(responses.rate.clone()));
            debug_assert!(registered.is_ok(), "the name is registered once");
        }
        if responses.recent.len() == RECENT {
            responses.recent.pop_front();
        }
        responses.recent.push_back(failed);
        if failed { &responses.failed } else { &responses.ok }.inc();
        let (ok, failed) = (count(&responses.ok), count(&responses.failed));
        responses.rate.set(100.0 * failed / (ok + failed));
    }

    /// `/status`: the current state.
    fn status(&self) -> Response<String> {
        let healthy = self.healthy();
        let status = json!({
            "current_requests": self.worker_count - self.workers.available_permits(),
            "pending_requests": self.pending.load(Ordering::Relaxed),
            "total_uptime": self.started.elapsed().as_secs_f64(),
            "health": if healthy { "healthy" } else { "unhealthy" },
        });
        let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut response = plain(code, &format!("{status}\n"));
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }

    #[expect(clippy::cast_precision_loss, reason = "at most RECENT")]
    fn healthy(&self) -> bool {
        let recent = &self.lock().recent;
        let failed = recent.iter().filter(|failed| **failed).count();
        recent.len() < MIN_RECENT || failed as f64 <= UNHEALTHY_ABOVE * recent.len() as f64
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        let _responses = self.lock(); // keeps the counters and the percentage consistent
        let mut response = Response::new(Vec::new());
        match TextEncoder::new().encode(&self.registry.gather(), response.body_mut()) {
            Ok(()) => {
                let format = header::HeaderValue::from_static(prometheus::TEXT_FORMAT);
                response.headers_mut().insert(header::CONTENT_TYPE, format);
            }
            Err(error) => {
                tracing::error!(%error, "cannot encode metrics");
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
        }
        response
    }

    fn lock(&self) -> MutexGuard<'_, Responses> {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner) // a panic cannot leave counters inconsistent
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn count(counter: &IntCounter) -> f64 {
    counter.get() as f64
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}

/// Counts a request while it waits, also if its client disconnects.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(pending: &'a AtomicUsize) -> Self {
        pending.fetch_add(1, Ordering::Relaxed);
        Self(pending)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn page_routes(app: Arc<App>) -> BoxedFilter<(impl Reply,)> {
    let get = || warp::get().or(warp::head()).unify();
    let status = app.clone();
    let hello = warp::path::end().and(get()).then(move || {
        let app = app.clone();
        async move { app.hello().await }
    });
    let status = warp::path!("status").and(get()).map(move || status.status());
    hello.or(status).unify().boxed()
}

fn metric_routes(app: Arc<App>) -> BoxedFilter<(impl Reply,)> {
    let root = warp::path::end().or(warp::path!("metrics")).unify();
    root.and(warp::get().or(warp::head()).unify()).map(move || app.metrics()).boxed()
}
