//! Load: requests to the application, the web server and the job queue, at a bounded rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Url};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::serve::stopped;

/// The flags of `demo load`.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// The application: GET of this page
    #[arg(long, value_name = "URL")]
    app: Option<Url>,

    /// The web server: pages below this one, some missing, some broken
    #[arg(long, value_name = "URL")]
    web: Option<Url>,

    /// The list of queues of the job queue: now and then a batch of jobs for one of them
    #[arg(long, value_name = "URL")]
    queue: Option<Url>,
}

/// Requests in a second to the application and to the web server, on average.
const RATE: f64 = 30.0;
/// Load comes and goes in waves of this length, between half and one and a half of the rate.
const WAVE: Duration = Duration::from_secs(120);
/// Batches of jobs in a second, and the jobs of one.
const BATCHES: f64 = 0.1;
const BATCH: usize = 20;
/// How many requests to one target may be under way; further ones are left out.
const UNDER_WAY: usize = 32;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of the web server: one of these at random.
const PAGES: &[(Method, &str)] = &[
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
/// What the job queue has a batch of jobs for: one of these at random.
const QUEUES: &[&str] = &["orders", "notifications", "analytics"];

/// Sends requests until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stopped = stopped()?;
    let client = client(TIMEOUT)?;
    let begin = Instant::now();
    let mut targets = JoinSet::new();
    if let Some(url) = args.app {
        let target = Target::new("app", &client);
        targets.spawn(async move {
            loop {
                wave(begin).await;
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
                wave(begin).await;
                let (method, page) = &pages[fastrand::usize(..pages.len())];
                target.send(method.clone(), page.clone());
            }
        });
    }
    if let Some(list) = args.queue {
        let target = Target::new("queue", &client);
        targets.spawn(async move {
            loop {
                pause(BATCHES).await;
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

/// Waits as long as it takes until the next of events that come at random, `rate` in a second.
pub(crate) async fn pause(rate: f64) {
    let seconds = -(1.0 - fastrand::f64()).ln() / rate;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Waits for the next request of a load that comes and goes.
async fn wave(begin: Instant) {
    let phase = begin.elapsed().as_secs_f64() / WAVE.as_secs_f64() * std::f64::consts::TAU;
    pause(RATE * (1.0 + 0.5 * phase.sin())).await;
}

/// Where requests go, and what became of them.
struct Target {
    name: &'static str,
    client: Client,
    under_way: Arc<Semaphore>,
    answers: Arc<AtomicBool>,
}

impl Target {
    fn new(name: &'static str, client: &Client) -> Self {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        Self { name, client: client.clone(), under_way, answers: Arc::new(AtomicBool::new(true)) }
    }

    /// Sends a request, unless too many are under way; whatever the status, an answer is an answer.
    fn send(&self, method: Method, url: Url) {
        let Ok(permit) = self.under_way.clone().try_acquire_owned() else { return };
        let (name, answers) = (self.name, self.answers.clone());
        let request = self.client.request(method, url).send();
        tokio::spawn(async move {
            let outcome = async { request.await?.bytes().await }.await;
            drop(permit);
            // one line for each change of state
            match (answers.swap(outcome.is_ok(), Ordering::Relaxed), outcome) {
                (true, Err(error)) => tracing::warn!(name, error = chain(&error), "no answer"),
                (false, Ok(_)) => tracing::info!(name, "answers again"),
                _ => {}
            }
        });
    }
}

/// An error with what caused it; reqwest's own text leaves that out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Succeeds if the URL answers 2xx.
pub(crate) async fn healthcheck(url: &str) -> Result<()> {
    let answer = client(Duration::from_secs(2))?.get(url).send().await.with_context(|| format!("cannot ask {url}"))?;
    ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
    Ok(())
}

/// A client that gives up after `timeout` and shows redirects as what they are.
pub(crate) fn client(timeout: Duration) -> Result<Client> {
    // reqwest asks for one even where no request uses TLS; a second installation is refused, which is fine
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("demo/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot make an HTTP client")
}
