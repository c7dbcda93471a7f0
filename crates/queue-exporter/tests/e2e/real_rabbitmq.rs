//! The queue system `rabbitmq` against the real broker.

use exporter_common::testing::{assert_lint, value};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, BasicRejectOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::broker::RabbitMq;
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter};

const QUEUE: &str = "or/ders \"ü\"";

fn series(metric: &str, more: &str) -> String {
    format!("{metric}{{queue_name=\"or/ders \\\"ü\\\"\"{more},vhost=\"/\"}}")
}

/// Depth, in flight, processed, redelivered.
fn seen(metrics: &str) -> [Option<f64>; 4] {
    let series = [
        series("queue_depth", ""),
        series("queue_messages", ",state=\"in_flight\""),
        series("messages_processed_total", ",status=\"success\""),
        series("messages_redelivered_total", ""),
    ];
    series.map(|series| value(metrics, &series))
}

pub(crate) struct Client {
    _connection: Connection,
    pub(crate) channel: Channel,
}

impl Client {
    pub(crate) async fn connect(broker: &RabbitMq) -> Self {
        let connection = Connection::connect(&broker.amqp(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    async fn publish(&self, count: usize) {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        for _ in 0..count {
            let options = BasicPublishOptions::default();
            let published =
                self.channel.basic_publish("".into(), QUEUE.into(), options, b"x", persistent.clone()).await;
            published.unwrap().await.unwrap();
        }
    }

    async fn get(&self, no_ack: bool) -> lapin::message::BasicGetMessage {
        let options = BasicGetOptions { no_ack };
        self.channel.basic_get(QUEUE.into(), options).await.unwrap().unwrap()
    }

    async fn process(&self, count: usize) {
        for _ in 0..count {
            self.get(false).await.ack(BasicAckOptions::default()).await.unwrap();
        }
    }
}

const FLOW: &str = "messages_processed_total{queue_name=\"flow\",status=\"success\",vhost=\"/\"}";

/// Publishes and processes messages until the broker stops.
async fn flow(client: Client) {
    let channel = client.channel;
    let _ = channel.queue_declare("flow".into(), QueueDeclareOptions::default(), FieldTable::default()).await;
    let options = BasicPublishOptions::default();
    while channel.basic_publish("".into(), "flow".into(), options, b"x", BasicProperties::default()).await.is_ok() {
        let Ok(Some(got)) = channel.basic_get("flow".into(), BasicGetOptions { no_ack: false }).await else { return };
        if got.ack(BasicAckOptions::default()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_published_and_processed_are_counted_exactly_across_a_restart() {
    let Some(mut broker) = RabbitMq::start() else { return };
    broker.put("users/watcher", r#"{"password":"p w","tags":"monitoring"}"#);
    let client = Client::connect(&broker).await;
    let exporter = exporter(&broker.management("watcher:p%20w"), ["--queue.system=rabbitmq"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0), "the user has no permissions");
    assert!(exporter.log().contains("give the user permissions on the virtual hosts"), "{}", exporter.log());
    broker.put("permissions/%2F/watcher", r#"{"configure":"^$","write":"^$","read":"^$"}"#);

    client.publish(20).await;
    let metrics = exporter.scrape_until("20 messages are ready", |metrics| seen(metrics)[0] == Some(20.0));
    assert_eq!(seen(&metrics), [Some(20.0), Some(0.0), None, None], "a counter without activity is unknown");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
    assert_eq!(value(&metrics, &series("messages_enqueued_total", "")), Some(20.0));

    client.process(5).await;
    client.get(true).await;
    let held = client.get(false).await;
    client.get(false).await.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    client.get(false).await.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    // 20 - 5 acknowledged - 1 taken without acknowledgment - 1 held - 1 discarded; the returned one was delivered again
    let expected = [Some(12.0), Some(1.0), Some(6.0), Some(1.0)];
    let metrics = exporter.scrape_until("12 messages are left", |metrics| seen(metrics) == expected);
    assert_lint(&metrics);
    held.ack(BasicAckOptions::default()).await.unwrap();
    exporter.scrape_until("7 are processed", |metrics| seen(metrics)[2] == Some(7.0));

    drop(client);
    let watch = Watch::default();
    let flow = tokio::spawn(flow(Client::connect(&broker).await));
    exporter.scrape_until("jobs are processed", |metrics| {
        watch.see(metrics);
        value(metrics, FLOW) > Some(5.0)
    });
    broker.down("TERM");
    flow.await.unwrap();
    let metrics = exporter.scrape();
    watch.see(&metrics);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert_eq!(seen(&metrics), [None; 4], "a broker that is down has no values");
    broker.up();
    let metrics = exporter.scrape_until("it is read again", |metrics| {
        watch.see(metrics);
        let [depth, ..] = seen(metrics);
        assert!(depth.is_none() || depth == Some(12.0), "no other depth was ever correct: {metrics}");
        depth.is_some() && value(metrics, SUCCESS) == Some(1.0)
    });
    assert_eq!(seen(&metrics)[2], None, "it has processed nothing since its restart");
    let client = Client::connect(&broker).await;
    client.process(2).await;
    let goes_down = |metrics: &str| seen(metrics)[2].is_some_and(|processed| processed < 7.0);
    exporter.scrape_until("9 are processed", |metrics| {
        watch.see(metrics);
        assert!(!goes_down(metrics), "{metrics}");
        seen(metrics) == [Some(10.0), Some(0.0), Some(9.0), Some(1.0)]
    });
    let log = exporter.log();
    assert!(!log.contains("p w") && !log.contains("p%20w"), "{log}");
}

#[test]
fn hidden_queues_and_alarms_are_reported() {
    let Some(broker) = RabbitMq::start_with("vm_memory_high_watermark.absolute = 1MB\n") else { return };
    broker.put("vhosts/closed", "");
    for queue in ["queues/%2F/open", "queues/closed/one", "queues/closed/two"] {
        if queue.contains("closed") {
            broker.put("permissions/closed/guest", r#"{"configure":".*","write":".*","read":".*"}"#);
        }
        broker.put(queue, r#"{"durable":true}"#);
    }
    broker.put("users/watcher", r#"{"password":"p","tags":"monitoring"}"#);
    broker.put("permissions/%2F/watcher", r#"{"configure":"^$","write":"^$","read":"^$"}"#);
    let exporter = exporter(&broker.management("watcher:p"), ["--queue.system=rabbitmq"]);
    let hidden = "queue_exporter_queues{outcome=\"hidden\"}";
    let depth = "queue_depth{queue_name=\"open\",vhost=\"/\"}";
    let metrics = exporter.scrape_until("two queues are hidden", |metrics| {
        value(metrics, hidden) == Some(2.0) && value(metrics, depth) == Some(0.0)
    });
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(exporter.log().contains("lists 1 of its 3 queues"), "{}", exporter.log());
    broker.put("permissions/closed/watcher", r#"{"configure":"^$","write":"^$","read":"^$"}"#);
    let metrics = exporter.scrape_until("no queue is hidden", |metrics| value(metrics, SUCCESS) == Some(1.0));
    assert_eq!(value(&metrics, hidden), Some(0.0), "{metrics}");
    let alarm = |metrics: &str, alarm: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("queue_broker_alarm{{alarm=\"{alarm}\"")));
        line.map(|line| line.ends_with(" 1"))
    };
    let metrics = exporter.scrape_until("the memory alarm is active", |metrics| alarm(metrics, "memory") == Some(true));
    assert_eq!(alarm(&metrics, "disk"), Some(false), "{metrics}");
    assert_lint(&metrics);
}

#[test]
fn without_statistics_the_numbers_of_messages_are_exported_and_the_cause_is_logged() {
    let configuration = "management_agent.disable_metrics_collector = true\n";
    let Some(broker) = RabbitMq::start_with(configuration) else { return };
    broker.put("queues/%2F/orders", r#"{"durable":true}"#);
    let exporter = exporter(&broker.management("guest:guest"), ["--queue.system=rabbitmq"]);
    let depth = "queue_depth{queue_name=\"orders\",vhost=\"/\"}";
    exporter.scrape_until("the depth is known", |metrics| value(metrics, depth) == Some(0.0));
    assert!(exporter.log().contains("disable_metrics_collector"), "{}", exporter.log());
    // the read that notices it may be the one that found the queue
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    let origin = "queue_exporter_metric_origin{metric=\"messages_enqueued_total\",origin=\"unavailable\"}";
    assert_eq!(value(&metrics, origin), Some(1.0), "{metrics}");
    assert_vocabulary(&metrics);
}
