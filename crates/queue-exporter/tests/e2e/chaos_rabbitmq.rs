//! RabbitMQ under chaos: a classic queue and a quorum queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::broker::{RabbitMq, patiently};
use crate::chaos::{BACKLOG, Broker, PAUSE, Stop, Watched, again_and_again, survives};
use crate::exporter;

impl Broker for RabbitMq {
    fn down(&mut self, signal: &str) {
        RabbitMq::down(self, signal);
    }

    fn signal(&self, signal: &str) {
        RabbitMq::signal(self, signal);
    }

    fn up(&mut self) {
        RabbitMq::up(self);
        // after a start, it responds before it knows more than the names of its queues
        let has_details = |queues: String| queues.matches("\"consumers\":").count() == QUEUES.len();
        patiently("RabbitMQ lists its queues", || has_details(self.get("queues")?).then_some(()));
    }
}

const QUEUES: [&str; 2] = ["classic", "quorum"];

const DEPTHS: [&str; 2] =
    ["queue_depth{queue_name=\"classic\",vhost=\"/\"}", "queue_depth{queue_name=\"quorum\",vhost=\"/\"}"];

const LISTED: [&str; 2] = ["queue_name=\"classic\",type=\"classic\"", "queue_name=\"quorum\",type=\"quorum\""];

const ACKNOWLEDGED: [&str; 2] = [
    "messages_processed_total{queue_name=\"classic\",status=\"success\",vhost=\"/\"}",
    "messages_processed_total{queue_name=\"quorum\",status=\"success\",vhost=\"/\"}",
];

/// How long a client waits for a response: a broker that starts or stops may never send it.
async fn in_time<T>(response: impl Future<Output = lapin::Result<T>>) -> anyhow::Result<T> {
    Ok(tokio::time::timeout(Duration::from_secs(10), response).await??)
}

/// Jobs through both queues, in which some stay.
async fn jobs(url: &str, stop: &AtomicBool) -> anyhow::Result<()> {
    let connection = in_time(Connection::connect(url, ConnectionProperties::default())).await?;
    let channel = in_time(connection.create_channel()).await?;
    in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    let publish = async |queue: &str| {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        in_time(async { channel.basic_publish("".into(), queue.into(), options, b"x", persistent).await?.await }).await
    };
    for queue in QUEUES {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue.into()));
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = in_time(channel.queue_declare(queue.into(), durable, arguments)).await?;
        for _ in declared.message_count()..BACKLOG {
            publish(queue).await?;
        }
    }
    while !stop.load(Ordering::Relaxed) {
        for queue in QUEUES {
            publish(queue).await?;
            if let Some(got) = in_time(channel.basic_get(queue.into(), BasicGetOptions { no_ack: false })).await? {
                in_time(got.ack(BasicAckOptions::default())).await?;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[test]
fn counters_survive_a_rabbitmq_that_is_stopped_and_killed() {
    let Some(mut broker) = RabbitMq::start() else { return };
    let (url, stop) = (broker.amqp(), AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| again_and_again(&stop, || runtime.block_on(jobs(&url, &stop))));
        let _stop = Stop(&stop);
        let exporter = exporter(&broker.management("guest:guest"), ["--queue.system=rabbitmq"]);
        // just after a restart, RabbitMQ lists only the names of queues
        let watched = Watched::new(exporter, &ACKNOWLEDGED, &DEPTHS).once_filled().there(&LISTED);
        survives(&mut broker, &[watched]);
    });
}
