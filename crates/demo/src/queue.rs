//! `demo queue`: three job queues with producers and workers, and their statistics over HTTP.
//!
//! `GET /queues` lists the queues, `GET /queues/NAME` returns the statistics of one, `POST /queues/NAME` adds a job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use warp::filters::BoxedFilter;
use warp::http::{Method, Response, StatusCode, header};
use warp::{Filter, Reply};

use crate::jobs::{KINDS, Kind};
use crate::server::{listen, serve};

/// The flags of `demo queue`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listen address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8082")]
    listen: String,

    /// Disable the producers; jobs are added only by POST
    #[arg(long)]
    no_producers: bool,
}

/// Upper bounds of the histogram of processing times, in seconds.
const BOUNDS: [f64; 8] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Maximum number of waiting jobs in a queue.
const CAPACITY: usize = 10_000;

/// Runs the queues until the process is stopped; waiting jobs are then lost.
pub(crate) async fn run(args: Args) -> Result<()> {
    let listener = listen(&args.listen).await?;
    let queues: Arc<[Queue; 3]> = Arc::new(KINDS.map(Queue::new));
    let mut tasks = JoinSet::new();
    for at in 0..queues.len() {
        for _ in 0..queues[at].kind.workers {
            let queues = queues.clone();
            tasks.spawn(async move { queues[at].work().await });
        }
        if !args.no_producers {
            let queues = queues.clone();
            tasks.spawn(async move { queues[at].produce().await });
        }
    }
    serve("queue", listener, routes(queues)).await
}

struct Queue {
    kind: Kind,
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default)]
struct State {
    /// Number of jobs waiting for a worker.
    waiting: usize,
    processed: u64,
    failed: u64,
    /// Number of jobs that took at most each of `BOUNDS`.
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
}

impl Queue {
    fn new(kind: Kind) -> Self {
        Self { kind, state: Mutex::default(), added: Notify::new() }
    }

    /// Adds a job; returns false if the queue is full.
    fn add(&self) -> bool {
        let mut state = self.lock();
        let room = state.waiting < CAPACITY;
        if room {
            state.waiting += 1;
            self.added.notify_one();
        }
        room
    }

    async fn produce(&self) {
        loop {
            self.kind.wait_for_next().await;
            self.add(); // if the queue is full, the job is dropped
        }
    }

    async fn work(&self) {
        loop {
            if !self.lock().take() {
                self.added.notified().await;
                continue;
            }
            let start = Instant::now();
            let succeeded = self.kind.process().await;
            self.lock().finish(start.elapsed(), succeeded);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // a panic cannot leave counts inconsistent
    }
}

impl State {
    /// Takes a waiting job, if any.
    fn take(&mut self) -> bool {
        let waiting = self.waiting.checked_sub(1);
        self.waiting = waiting.unwrap_or_default();
        waiting.is_some()
    }

    fn finish(&mut self, took: Duration, succeeded: bool) {
        *if succeeded { &mut self.processed } else { &mut self.failed } += 1;
        let seconds = took.as_secs_f64();
        self.seconds += seconds;
        for (bound, count) in BOUNDS.iter().zip(&mut self.buckets) {
            *count += u64::from(seconds <= *bound);
        }
    }

    fn statistics(&self) -> Value {
        let buckets = BOUNDS.iter().zip(self.buckets);
        let buckets: Map<String, Value> = buckets.map(|(bound, count)| (bound.to_string(), count.into())).collect();
        json!({
            "depth": self.waiting,
            "processed": self.processed,
            "failed": self.failed,
            "processing_seconds": {
                "buckets": buckets,
                "sum": self.seconds,
                "count": self.processed + self.failed,
            },
        })
    }
}

fn routes(queues: Arc<[Queue; 3]>) -> BoxedFilter<(impl Reply,)> {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let list = json!({ "queues": names });
    let get = || warp::get().or(warp::head()).unify();
    let list = warp::path!("queues").and(get()).map(move || json_response(StatusCode::OK, &list));
    let one = warp::path!("queues" / String).and(warp::method()).map(move |name: String, method: Method| {
        match (queues.iter().find(|queue| queue.kind.name == name), method) {
            (None, _) => json_response(StatusCode::NOT_FOUND, &json!({ "error": "queue not found" })),
            (Some(queue), Method::GET | Method::HEAD) => json_response(StatusCode::OK, &queue.lock().statistics()),
            (Some(queue), Method::POST) if queue.add() => json_response(StatusCode::CREATED, &json!({})),
            (Some(_), Method::POST) => {
                json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the queue is full" }))
            }
            _ => json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "allowed methods: GET, HEAD, POST" })),
        }
    });
    list.or(one).unify().boxed()
}

fn json_response(status: StatusCode, body: &Value) -> Response<String> {
    let mut response = Response::new(format!("{body}\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_counted_in_every_bucket_above_its_duration() {
        let mut state = State::default();
        state.finish(Duration::from_millis(200), true);
        state.finish(Duration::from_secs(9), false);
        let statistics = state.statistics();
        assert_eq!((&statistics["processed"], &statistics["failed"]), (&json!(1), &json!(1)));
        let times = &statistics["processing_seconds"];
        assert_eq!(times["count"], 2);
        assert_eq!(times["sum"], 9.2);
        assert_eq!(
            times["buckets"],
            json!({ "0.01": 0, "0.05": 0, "0.1": 0, "0.25": 1, "0.5": 1, "1": 1, "2.5": 1, "5": 1 })
        );
    }

    #[test]
    fn a_full_queue_refuses_jobs() {
        let [orders, ..] = KINDS.map(Queue::new);
        assert_eq!((0..CAPACITY + 5).filter(|_| orders.add()).count(), CAPACITY);
        assert_eq!(orders.lock().statistics()["depth"], CAPACITY);
    }
}
