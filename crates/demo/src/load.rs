//! `demo load`: sends requests to the application, the web server and the job queue at a bounded rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::{Client, Method, Url};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::arrivals::arrival;
use crate::http_client::{cause, client, url};
use crate::server::stopped;

/// The flags of `demo load`.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// URL of the application, requested with GET
    #[arg(long, value_name = "URL", value_parser = url)]
    app: Option<Url>,

    /// URL of the web server; its pages are requested, including missing and broken ones
    #[arg(long, value_name = "URL", value_parser = url)]
    web: Option<Url>,

    /// URL of the job queue's list of queues; batches of jobs are added to them
    #[arg(long, value_name = "URL", value_parser = url)]
    queue: Option<Url>,
}

/// Average number of requests per second to the application and to the web server.
pub(crate) const RATE: f64 = 30.0;
/// Period of the load, which varies between 50 % and 150 % of the rate.
const WAVE: Duration = Duration::from_secs(120);
/// Batches of jobs per second, and jobs per batch.
const BATCHES: f64 = 0.1;
const BATCH: usize = 20;
/// Maximum number of concurrent requests to one target; additional requests are skipped.
const MAX_CONCURRENT: usize = 32;
/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests to the web server, chosen at random.
pub(crate) const PAGES: &[(Method, &str)] = &[
    (Method::GET, ""),
    (Method::GET, ""),
    (Method::GET, ""),
    (Method::GET, "products"),
    (Method::GET, "products"),
    (Method::GET, "products"),
    (Method::HEAD, "products"),
    (Method::POST, "orders"),
    (Method::POST, "orders"),
    (Method::GET, "old"),
    (Method::DELETE, ""),
    (Method::GET, "missing"),
    (Method::GET, "broken"),
];
/// Queues of the batches, chosen at random.
const QUEUES: &[&str] = &["orders", "notifications", "analytics"];

/// Sends requests until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    let client = client(TIMEOUT)?;
    let start = Instant::now();
    let mut targets = JoinSet::new();
    if let Some(url) = args.app {
        let target = Target::new("app", &client);
        targets.spawn(async move {
            loop {
                wave(start).await;
                target.send(Method::GET, url.clone());
            }
        });
    }
    if let Some(site) = args.web {
        let target = Target::new("web", &client);
        let pages: Vec<_> =
            PAGES.iter().map(|(method, page)| Ok((method.clone(), site.join(page)?))).collect::<Result<_>>()?;
        targets.spawn(async move {
            loop {
                wave(start).await;
                let (method, page) = &pages[fastrand::usize(..pages.len())];
                target.send(method.clone(), page.clone());
            }
        });
    }
    if let Some(list) = args.queue {
        let target = Target::new("queue", &client);
        targets.spawn(async move {
            loop {
                arrival(BATCHES).await;
                let mut queue = list.clone();
                let name = QUEUES[fastrand::usize(..QUEUES.len())];
                queue.set_path(&format!("{}/{name}", list.path().trim_end_matches('/')));
                for _ in 0..BATCH {
                    target.send(Method::POST, queue.clone());
                }
            }
        });
    }
    tracing::info!(requests_per_second = RATE, "sending load");
    stopped.await;
    Ok(())
}

/// Requests a URL [`RATE`] times per second on average, until the task is aborted.
pub(crate) fn repeat(url: Url) -> Result<JoinHandle<()>> {
    let target = Target::new("drill", &client(TIMEOUT)?);
    Ok(tokio::spawn(async move {
        loop {
            arrival(RATE).await;
            target.send(Method::GET, url.clone());
        }
    }))
}

/// Waits for the next request of the periodic load.
async fn wave(start: Instant) {
    let phase = start.elapsed().as_secs_f64() / WAVE.as_secs_f64() * std::f64::consts::TAU;
    arrival(RATE * (1.0 + 0.5 * phase.sin())).await;
}

/// The receiver of requests, and whether it responds.
struct Target {
    name: &'static str,
    client: Client,
    concurrent: Arc<Semaphore>,
    responds: Arc<AtomicBool>,
}

impl Target {
    fn new(name: &'static str, client: &Client) -> Self {
        let concurrent = Arc::new(Semaphore::new(MAX_CONCURRENT));
        Self { name, client: client.clone(), concurrent, responds: Arc::new(AtomicBool::new(true)) }
    }

    /// Sends a request unless too many are in progress. A response with any status counts as success.
    fn send(&self, method: Method, url: Url) {
        let Ok(permit) = self.concurrent.clone().try_acquire_owned() else { return };
        let (name, responds) = (self.name, self.responds.clone());
        let request = self.client.request(method, url).send();
        tokio::spawn(async move {
            let outcome = async { request.await?.bytes().await }.await;
            drop(permit);
            // Log only changes of state.
            match (responds.swap(outcome.is_ok(), Ordering::Relaxed), outcome) {
                (true, Err(error)) => tracing::warn!(name, error = cause(&error), "request failed"),
                (false, Ok(_)) => tracing::info!(name, "requests succeed again"),
                _ => {}
            }
        });
    }
}
