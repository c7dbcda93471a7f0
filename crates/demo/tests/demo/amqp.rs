//! `demo producer` and `demo consumer` with a real RabbitMQ.

use std::process::Command;

use exporter_common::testing::{Running, eventually, get};
use serde_json::Value;

use crate::DEMO;
use crate::broker::RabbitMq;

/// guest:guest, the default user of a new broker.
const GUEST: (&str, &str) = ("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");

fn start(part: &str, broker: &RabbitMq, password: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let url = broker.amqp().replace("amqp://", "amqp://guest@");
    let flags = [format!("--broker={url}"), format!("--password-file={}", file.display())];
    Running::spawn(Command::new(DEMO).arg(part).args(flags).arg("--listen=127.0.0.1:0"))
}

/// The broker's description of a queue; `None` until the queue exists.
fn queue(broker: &RabbitMq, name: &str) -> Option<Value> {
    let url = broker.management("guest").replace("guest@", "");
    let response = get(&format!("{url}/api/queues/%2F/{name}"), &[GUEST]);
    (response.status == 200).then(|| serde_json::from_str(&response.body).unwrap())
}

/// Waits until a counter of a queue is above 0. The counters restart with the broker.
fn assert_counted(broker: &RabbitMq, name: &str, what: &str) {
    let count = || queue(broker, name)?["message_stats"][what].as_u64();
    eventually(&format!("{what} of {name} is above 0"), || count().filter(|count| *count > 0));
}

#[test]
fn jobs_continue_after_a_restart_of_the_broker() {
    let Some(mut broker) = RabbitMq::start() else { return };
    let mut producer = start("producer", &broker, "guest");
    let mut consumer = start("consumer", &broker, "guest");
    for name in ["orders", "notifications", "analytics"] {
        for what in ["publish", "ack"] {
            assert_counted(&broker, name, what);
        }
        let queue = queue(&broker, name).unwrap();
        assert_eq!((&queue["durable"], &queue["type"]), (&true.into(), &"quorum".into()));
    }
    for part in [&producer, &consumer] {
        assert_eq!(part.get("/healthy", &[]).status, 200);
    }

    broker.down("TERM");
    for part in [&producer, &consumer] {
        eventually("the lost connection is logged", || part.log().contains("broker not connected").then_some(()));
        eventually("the part is unhealthy", || (part.get("/healthy", &[]).status == 503).then_some(()));
    }
    broker.up();
    assert_counted(&broker, "notifications", "ack");
    for part in [&mut producer, &mut consumer] {
        eventually("the part is healthy again", || (part.get("/healthy", &[]).status == 200).then_some(()));
        part.signal("TERM");
        assert_eq!(part.wait(), Some(0), "{}", part.log());
        let lines = |what| part.log().matches(what).count();
        assert_eq!(
            lines("msg=connected"),
            lines("broker not connected") + 1,
            "one log line per lost connection: {}",
            part.log()
        );
    }
}

#[test]
fn a_wrong_password_is_logged_and_the_producer_keeps_running() {
    let Some(broker) = RabbitMq::start() else { return };
    let producer = start("producer", &broker, "wrong");
    eventually("the refusal is logged", || producer.log().contains("ACCESS_REFUSED").then_some(()));
    assert_eq!(producer.get("/healthy", &[]).status, 503);
    assert!(!producer.log().contains("wrong"), "{}", producer.log());
}
