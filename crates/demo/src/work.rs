//! `demo jobs`: adds jobs to the queues of a broker, and works on them.

use std::cell::Cell;

use anyhow::{Context, Result, anyhow};
use futures_util::future::{try_join, try_join_all};
use reqwest::Url;

use crate::beanstalk::Beanstalk;
use crate::jobs::{KINDS, Kind};
use crate::nats::Nats;
use crate::session::{self, Session};

/// The flags of `demo jobs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The broker: nats://HOST:4222 with JetStream, or beanstalk://HOST:11300
    #[arg(long, value_parser = broker)]
    url: Url,

    /// Where /healthy tells whether the broker is connected, for containers
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Add no more than this many jobs to each queue, and tell when all of them are done
    #[arg(long, value_name = "N")]
    jobs: Option<u64>,

    /// How many times as many jobs as usual come, and how many times as fast they are worked on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    speed: u32,
}

/// One connection with a broker, for one who adds jobs to a queue or works on them.
pub(crate) trait Client: Sized {
    /// A job that was taken.
    type Job;
    /// Where the broker usually is.
    const PORT: u16;

    /// Connects, and makes the queue if it is not there.
    async fn connect(address: &str, queue: &str) -> Result<Self>;
    /// Adds a job, and waits until the broker has it.
    async fn add(&mut self) -> Result<()>;
    /// The next job; none if none has come for a while.
    async fn take(&mut self) -> Result<Option<Self::Job>>;
    /// Tells the broker how a job ended; how many jobs that had failed are to be worked on again.
    async fn settle(&mut self, job: Self::Job, well: bool) -> Result<u64>;
}

/// A queue, and what was done with it in the life of this process.
struct Queue {
    kind: Kind,
    limit: Option<u64>,
    added: Cell<u64>,
    done: Cell<u64>,
    failed: Cell<u64>,
    again: Cell<u64>,
}

/// Adds jobs and works on them until the process is stopped.
pub(crate) async fn run(args: Args) -> Result<()> {
    match args.url.scheme() {
        "nats" => flow::<Nats>(args).await,
        _ => flow::<Beanstalk>(args).await,
    }
}

async fn flow<C: Client>(args: Args) -> Result<()> {
    let queues = KINDS.map(|kind| Queue::new(kind.times(args.speed), args.jobs));
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
        goodbye: async |_| (), // the connection's end is enough
    };
    let ended = session::run(&broker, args.listen.as_deref(), session).await;
    queues.iter().for_each(|queue| queue.tell("stopped"));
    ended
}

/// The connections for a queue: of who adds jobs, and of each worker.
async fn open<C: Client>(broker: &str, kind: &Kind) -> Result<(C, Vec<C>)> {
    let producer = C::connect(broker, kind.name).await?;
    let workers = try_join_all((0..kind.workers).map(|_| C::connect(broker, kind.name))).await?;
    Ok((producer, workers))
}

impl Queue {
    fn new(kind: Kind, limit: Option<u64>) -> Self {
        let [added, done, failed, again] = Default::default();
        Self { kind, limit, added, done, failed, again }
    }

    async fn produce(&self, client: &mut impl Client) -> Result<()> {
        while self.limit.is_none_or(|limit| self.added.get() < limit) {
            self.kind.next().await;
            client.add().await?;
            self.added.update(|added| added + 1);
            self.tell_the_end();
        }
        Ok(())
    }

    async fn work(&self, client: &mut impl Client) -> Result<()> {
        loop {
            let Some(job) = client.take().await? else { continue };
            let well = self.kind.work().await;
            let again = client.settle(job, well).await?;
            self.again.update(|count| count + again);
            let count = if well { &self.done } else { &self.failed };
            count.update(|count| count + 1);
            self.tell_the_end();
        }
    }

    /// Says so when the last job is done, which may be told to its worker before its producer.
    fn tell_the_end(&self) {
        let settled = self.done.get() + self.failed.get();
        if self.limit == Some(self.added.get()) && self.added.get() + self.again.get() == settled {
            self.tell("all done");
        }
    }

    fn tell(&self, what: &str) {
        let [added, done, failed, again] = [&self.added, &self.done, &self.failed, &self.again].map(Cell::get);
        tracing::info!(queue = self.kind.name, added, done, failed, again, "{what}");
    }
}

fn broker(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| ["nats", "beanstalk"].contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| anyhow!("it is neither nats://HOST:PORT nor beanstalk://HOST:PORT"))
}
