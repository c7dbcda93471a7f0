//! A RabbitMQ cluster of three nodes while one of them is stopped.

use exporter_common::testing::value;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::broker::{RabbitMq, patiently};
use crate::watch::Watch;
use crate::{SUCCESS, exporter};

/// Declares queues on each of the nodes.
const KINDS: [&str; 3] = ["classic", "quorum", "stream"];

const MESSAGES: usize = 20;

/// Declares a queue of each kind on this node, and fills it.
async fn fill(node: &RabbitMq, number: usize) {
    let connection = Connection::connect(&node.amqp(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for kind in KINDS {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        if kind != "classic" {
            arguments.insert("x-queue-leader-locator".into(), AMQPValue::LongString("client-local".into()));
        }
        let queue = format!("{kind}{number}");
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), durable, arguments).await.unwrap();
        for _ in 0..MESSAGES {
            let (options, persistent) =
                (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
            let published = channel.basic_publish("".into(), queue.as_str().into(), options, b"x", persistent).await;
            published.unwrap().await.unwrap();
        }
    }
}

fn depth(metrics: &str, queue: &str) -> Option<f64> {
    value(metrics, &format!("queue_depth{{queue_name=\"{queue}\",vhost=\"/\"}}"))
}

#[test]
fn a_stopped_node_hides_only_its_queues_until_it_returns() {
    let Some(mut nodes) = RabbitMq::cluster(3) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (number, node) in nodes.iter().enumerate() {
        runtime.block_on(fill(node, number));
    }
    let queues: Vec<_> = KINDS.iter().flat_map(|kind| (0..3).map(move |node| format!("{kind}{node}"))).collect();
    let exporter = exporter(&nodes[0].management("guest:guest"), ["--queue.system=rabbitmq"]);
    let watch = Watch::default();
    let mut all_known = false;
    let mut without_depth = || {
        let metrics = exporter.scrape();
        watch.see(&metrics);
        let (known, unknown): (Vec<_>, Vec<_>) =
            queues.iter().partition(|queue| depth(&metrics, queue.as_str()).is_some());
        // until all messages are counted, depths grow
        all_known |= queues.iter().all(|queue| depth(&metrics, queue) == Some(MESSAGES as f64));
        if all_known {
            for queue in known {
                assert_eq!(depth(&metrics, queue), Some(MESSAGES as f64), "{queue}: {metrics}");
            }
            let success = value(&metrics, SUCCESS).unwrap();
            assert_eq!(unknown.is_empty(), success == 1.0, "{unknown:?}: {}{metrics}", exporter.log());
        }
        (unknown.into_iter().cloned().collect::<Vec<_>>(), metrics, all_known)
    };
    patiently("all queues are exported", || without_depth().2.then_some(()));
    nodes[1].down("KILL");
    // other nodes lead its quorum queues; its own classic queue is unavailable
    let metrics = patiently("the other queues are exported", || {
        let (unknown, metrics, _) = without_depth();
        (unknown == ["classic1"] && exporter.log().contains("its state is down")).then_some(metrics)
    });
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(1.0), "{metrics}");
    nodes[1].up();
    patiently("all queues are exported again", || without_depth().0.is_empty().then_some(()));
}
