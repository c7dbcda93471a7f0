//! Producers and consumers for RabbitMQ: the same jobs as in the demo's own queue, over AMQP.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::jobs::{KINDS, Kind};
use crate::session::{self, Session};

/// The flags of `demo producer` and `demo consumer`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The broker, as amqp://USER@HOST:PORT/VHOST
    #[arg(long, value_name = "URL", default_value = "amqp://guest@127.0.0.1:5672/%2f")]
    broker: AMQPUri,

    /// File with the user's password; without it, it is the URL's, or guest
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// The type of the queues, which are durable
    #[arg(long, value_name = "TYPE", default_value = "quorum", value_parser = ["quorum", "classic"])]
    queue_type: String,

    /// Where /healthy tells whether the broker is connected, for containers
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// Publishes jobs until the process is stopped.
pub(crate) async fn producer(args: Args) -> Result<()> {
    run(args, produce).await
}

/// Works on jobs until the process is stopped.
pub(crate) async fn consumer(args: Args) -> Result<()> {
    run(args, consume).await
}

/// Keeps sessions with the broker, which do this.
async fn run(args: Args, session: impl AsyncFn(&Connection, &str) -> Result<()>) -> Result<()> {
    let mut uri = args.broker;
    if let Some(file) = &args.password_file {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        uri.authority.userinfo.password = text.trim_end().to_owned();
    }
    let broker = format!("{}:{}", uri.authority.host, uri.authority.port);
    let session = Session {
        connect: async || Ok(Connection::connect_uri(uri.clone(), ConnectionProperties::default()).await?),
        work: async |connection: &mut Connection| session(connection, &args.queue_type).await,
        goodbye: async |connection: Connection| drop(connection.close(200, "stopped".into()).await),
    };
    session::run(&broker, args.listen.as_deref(), session).await
}

/// Publishes jobs of every kind, each confirmed by the broker.
async fn produce(connection: &Connection, queue_type: &str) -> Result<()> {
    let kinds = KINDS.each_ref().map(|kind| async move {
        let channel = open(connection, kind, queue_type).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        loop {
            kind.next().await;
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish("".into(), kind.name.into(), options, b"job", persistent.clone());
            ensure!(published.await?.await?.is_ack(), "the broker does not take jobs for {}", kind.name);
        }
    });
    try_join_all(kinds).await.map(|_: Vec<()>| ())
}

/// Works on jobs of every kind; those that fail are rejected and not delivered again.
async fn consume(connection: &Connection, queue_type: &str) -> Result<()> {
    let kinds = KINDS.each_ref().map(|kind| async move {
        let channel = open(connection, kind, queue_type).await?;
        channel.basic_qos(kind.workers, BasicQosOptions::default()).await?;
        let tag = format!("demo-{}", kind.name);
        let options = BasicConsumeOptions::default();
        let jobs = channel.basic_consume(kind.name.into(), tag.into(), options, FieldTable::default()).await?;
        let work = |job: lapin::message::Delivery| async move {
            if kind.work().await {
                job.ack(BasicAckOptions::default()).await
            } else {
                job.reject(BasicRejectOptions { requeue: false }).await
            }
        };
        jobs.map_ok(work).try_buffer_unordered(kind.workers.into()).try_for_each(async |_| Ok(())).await?;
        bail!("the broker delivers no more jobs of {}", kind.name)
    });
    try_join_all(kinds).await.map(|_: Vec<()>| ())
}

/// A channel with the queue, which is made if it is not there.
async fn open(connection: &Connection, kind: &Kind, queue_type: &str) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
    channel.queue_declare(kind.name.into(), durable, arguments).await?;
    Ok(channel)
}
