//! A RabbitMQ consumer that hangs: it receives one job and does not acknowledge it.

use futures_util::TryStreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::runtime::Runtime;

const QUEUE: &str = "stuck";
const JOBS: usize = 5;

/// A consumer that hangs until it is resumed.
pub(crate) struct HungConsumer {
    jobs: Consumer,
    _channel: Channel,
    _connection: Connection,
    // Dropped last.
    runtime: Runtime,
}

impl HungConsumer {
    /// Creates a queue with jobs and receives the first one.
    pub(crate) fn start(broker: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (jobs, _channel, _connection) = runtime.block_on(async {
            let connection = Connection::connect(broker, ConnectionProperties::default()).await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await.unwrap();
            for _ in 0..JOBS {
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                channel.basic_publish("".into(), QUEUE.into(), options, b"job", properties).await.unwrap();
            }
            channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
            let options = BasicConsumeOptions::default();
            let jobs =
                channel.basic_consume(QUEUE.into(), "hung".into(), options, FieldTable::default()).await.unwrap();
            (jobs, channel, connection)
        });
        Self { jobs, _channel, _connection, runtime }
    }

    /// Processes all jobs.
    pub(crate) fn resume(&mut self) {
        self.runtime.block_on(async {
            for _ in 0..JOBS {
                self.jobs.try_next().await.unwrap().unwrap().ack(BasicAckOptions::default()).await.unwrap();
            }
        });
    }
}
