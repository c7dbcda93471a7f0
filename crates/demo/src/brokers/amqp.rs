//! `demo producer` and `demo consumer`: the demo's jobs over AMQP, for RabbitMQ.

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

use super::session::{self, Session};
use crate::jobs::{KINDS, Kind};

/// The flags of `demo producer` and `demo consumer`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// URL of the broker, amqp://USER@HOST:PORT/VHOST
    #[arg(long, value_name = "URL", default_value = "amqp://guest@127.0.0.1:5672/%2f")]
    broker: AMQPUri,

    /// File with the password; by default the password of the URL, or guest
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Type of the durable queues
    #[arg(long, value_name = "TYPE", default_value = "quorum", value_parser = ["quorum", "classic"])]
    queue_type: String,

    /// Listen address for /healthy, which reports whether the broker is connected
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// Publishes jobs until the process is stopped.
pub(crate) async fn producer(args: Args) -> Result<()> {
    run(args, produce).await
}

/// Processes jobs until the process is stopped.
pub(crate) async fn consumer(args: Args) -> Result<()> {
    run(args, consume).await
}

/// Runs `work` on a connection that is restored when it is lost.
async fn run(args: Args, work: impl AsyncFn(&Connection, &str) -> Result<()>) -> Result<()> {
    let mut uri = args.broker;
    if let Some(file) = &args.password_file {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        uri.authority.userinfo.password = text.trim_end().to_owned();
    }
    let broker = format!("{}:{}", uri.authority.host, uri.authority.port);
    let session = Session {
        connect: async || Ok(Connection::connect_uri(uri.clone(), ConnectionProperties::default()).await?),
        work: async |connection: &mut Connection| work(connection, &args.queue_type).await,
        disconnect: async |connection: Connection| drop(connection.close(200, "stopped".into()).await),
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
            kind.wait_for_next().await;
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish("".into(), kind.name.into(), options, b"job", persistent.clone());
            ensure!(published.await?.await?.is_ack(), "the broker rejected a job for {}", kind.name);
        }
    });
    try_join_all(kinds).await.map(|_: Vec<()>| ())
}

/// Processes jobs of every kind; failed ones are rejected and not redelivered.
async fn consume(connection: &Connection, queue_type: &str) -> Result<()> {
    let kinds = KINDS.each_ref().map(|kind| async move {
        let channel = open(connection, kind, queue_type).await?;
        channel.basic_qos(kind.workers, BasicQosOptions::default()).await?;
        let tag = format!("demo-{}", kind.name);
        let options = BasicConsumeOptions::default();
        let jobs = channel.basic_consume(kind.name.into(), tag.into(), options, FieldTable::default()).await?;
        let process = |job: lapin::message::Delivery| async move {
            if kind.process().await {
                job.ack(BasicAckOptions::default()).await
            } else {
                job.reject(BasicRejectOptions { requeue: false }).await
            }
        };
        jobs.map_ok(process).try_buffer_unordered(kind.workers.into()).try_for_each(async |_| Ok(())).await?;
        bail!("the broker stopped delivering jobs of {}", kind.name)
    });
    try_join_all(kinds).await.map(|_: Vec<()>| ())
}

/// Opens a channel and declares the queue.
async fn open(connection: &Connection, kind: &Kind, queue_type: &str) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
    channel.queue_declare(kind.name.into(), durable, arguments).await?;
    Ok(channel)
}
