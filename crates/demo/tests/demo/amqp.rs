//! Producers and consumers with a real RabbitMQ: jobs flow, some are rejected, and a broker may come and go.

use std::process::Command;

use exporter_common::testing::{Running, eventually, get};
use serde_json::Value;

use crate::DEMO;
use crate::broker::RabbitMq;

/// guest:guest, which every new broker knows.
const GUEST: (&str, &str) = ("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");

fn start(part: &str, broker: &RabbitMq, password: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let url = broker.amqp().replace("amqp://", "amqp://guest@");
    let flags = [format!("--broker={url}"), format!("--password-file={}", file.display())];
    Running::spawn(Command::new(DEMO).arg(part).args(flags).arg("--listen=127.0.0.1:0"))
}

/// What the broker itself says of a queue; nothing before it is there.
fn queue(broker: &RabbitMq, name: &str) -> Option<Value> {
    let url = broker.management("guest").replace("guest@", "");
    let answer = get(&format!("{url}/api/queues/%2F/{name}"), &[GUEST]);
    (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
}

/// Waits until the broker has counted something for a queue; its counts begin anew with it.
fn assert_counted(broker: &RabbitMq, name: &str, what: &str) {
    let count = || queue(broker, name)?["message_stats"][what].as_u64();
    eventually(&format!("{what} of {name} is counted"), || count().filter(|count| *count > 0));
}

#[test]
fn jobs_flow_through_a_real_broker_that_comes_and_goes() {
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
        eventually("the loss is told", || part.log().contains("broker not connected").then_some(()));
        eventually("it is not healthy", || (part.get("/healthy", &[]).status == 503).then_some(()));
    }
    broker.up();
    assert_counted(&broker, "notifications", "ack");
    for part in [&mut producer, &mut consumer] {
        eventually("it is healthy again", || (part.get("/healthy", &[]).status == 200).then_some(()));
        part.signal("TERM");
        assert_eq!(part.wait(), Some(0), "{}", part.log());
        let lines = |what| part.log().matches(what).count();
        assert_eq!(lines("msg=connected"), lines("broker not connected") + 1, "one line for one loss: {}", part.log());
    }
}

#[test]
fn a_wrong_password_is_told_and_does_not_end_it() {
    let Some(broker) = RabbitMq::start() else { return };
    let producer = start("producer", &broker, "wrong");
    eventually("it is told", || producer.log().contains("ACCESS_REFUSED").then_some(()));
    assert_eq!(producer.get("/healthy", &[]).status, 503);
    assert!(!producer.log().contains("wrong"), "{}", producer.log());
}
