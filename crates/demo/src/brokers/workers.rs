//! `demo jobs`: adds jobs to the queues of NATS or beanstalkd and processes them.

use std::cell::Cell;

use anyhow::{Context, Result, anyhow};
use futures_util::future::{try_join, try_join_all};
use reqwest::Url;

use super::beanstalkd::Beanstalkd;
use super::client::Client;
use super::nats::Nats;
use super::session::{self, Session};
use crate::jobs::{KINDS, Kind};
use crate::numbers::whole;

/// The flags of `demo jobs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// URL of the broker: nats://HOST:4222 (JetStream) or beanstalk://HOST:11300
    #[arg(long, value_parser = broker)]
    url: Url,

    /// Listen address for /healthy, which reports whether the broker is connected
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Number of jobs to add to each queue; their completion is logged. By default unlimited
    #[arg(long, value_name = "N", value_parser = whole(0..=u64::MAX))]
    jobs: Option<u64>,

    /// Factor by which job arrival and processing are accelerated
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=1000_u32))]
    speed: u32,
}

/// A queue with counts since the start of this process.
struct Queue {
    kind: Kind,
    limit: Option<u64>,
    added: Cell<u64>,
    done: Cell<u64>,
    failed: Cell<u64>,
    requeued: Cell<u64>,
}

/// Adds and processes jobs until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    match args.url.scheme() {
        "nats" => run_with::<Nats>(args).await,
        _ => run_with::<Beanstalkd>(args).await,
    }
}

async fn run_with<C: Client>(args: Args) -> Result<()> {
    let queues = KINDS.map(|kind| Queue::new(kind.accelerated(args.speed), args.jobs));
    let host = args.url.host_str().context("--url has no host")?;
    let broker = format!("{host}:{}", args.url.port().unwrap_or(C::PORT));
    let session = Session {
        connect: async || try_join_all(queues.iter().map(|queue| open::<C>(&broker, &queue.kind))).await,
        work: async |clients: &mut Vec<(C, Vec<C>)>| {
            let queues = queues.iter().zip(clients).map(|(queue, (producer, workers))| {
                let workers = workers.iter_mut().map(|worker| queue.work(worker));
                try_join(queue.produce(producer), try_join_all(workers))
            });
            try_join_all(queues).await.map(|_| ())
        },
        disconnect: async |_| (), // closing the connection suffices
    };
    let result = session::run(&broker, args.listen.as_deref(), session).await;
    queues.iter().for_each(|queue| queue.log("stopped"));
    result
}

/// Opens the connections for a queue: one for its producer and one for each worker.
async fn open<C: Client>(broker: &str, kind: &Kind) -> Result<(C, Vec<C>)> {
    let producer = C::connect(broker, kind.name).await?;
    let workers = try_join_all((0..kind.workers).map(|_| C::connect(broker, kind.name))).await?;
    Ok((producer, workers))
}

impl Queue {
    fn new(kind: Kind, limit: Option<u64>) -> Self {
        let [added, done, failed, requeued] = Default::default();
        Self { kind, limit, added, done, failed, requeued }
    }

    async fn produce(&self, client: &mut impl Client) -> Result<()> {
        while self.limit.is_none_or(|limit| self.added.get() < limit) {
            self.kind.wait_for_next().await;
            client.add().await?;
            self.added.update(|added| added + 1);
            self.log_completion();
        }
        Ok(())
    }

    async fn work(&self, client: &mut impl Client) -> Result<()> {
        loop {
            let Some(job) = client.take().await? else { continue };
            let succeeded = self.kind.process().await;
            let requeued = client.settle(job, succeeded).await?;
            self.requeued.update(|count| count + requeued);
            let count = if succeeded { &self.done } else { &self.failed };
            count.update(|count| count + 1);
            self.log_completion();
        }
    }

    /// Logs the completion of the last job. Its worker may finish before the producer's `add` returns, so both check.
    fn log_completion(&self) {
        let settled = self.done.get() + self.failed.get();
        if self.limit == Some(self.added.get()) && self.added.get() + self.requeued.get() == settled {
            self.log("all done");
        }
    }

    fn log(&self, message: &str) {
        let [added, done, failed, requeued] = [&self.added, &self.done, &self.failed, &self.requeued].map(Cell::get);
        tracing::info!(queue = self.kind.name, added, done, failed, requeued, "{message}");
    }
}

fn broker(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| ["nats", "beanstalk"].contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| anyhow!("expected nats://HOST:PORT or beanstalk://HOST:PORT"))
}
