//! NATS JetStream under chaos: a stream on disk, and one in memory that is lost.

use exporter_common::testing::real;

use crate::chaos::{Broker, Watched, started, survives};
use crate::exporter;
use crate::real_nats::Nats;
use crate::redis_server::client;

impl Broker for Nats {
    fn down(&mut self, signal: &str) {
        Nats::down(self, signal);
    }

    fn signal(&self, signal: &str) {
        Nats::signal(self, signal);
    }

    fn up(&mut self) {
        Nats::up(self);
    }
}

const DEPTHS: [&str; 1] = ["queue_depth{queue_name=\"DISK\",scope=\"worker\"}"];

const DELIVERED: [&str; 2] = [
    "messages_delivered_total{queue_name=\"DISK\",scope=\"worker\"}",
    "messages_delivered_total{queue_name=\"MEMORY\",scope=\"worker\"}",
];

#[test]
fn counters_survive_a_nats_that_is_stopped_and_killed() {
    // the client is installed next to Celery
    let (Some(mut server), Some(celery)) = (Nats::start(), real("celery")) else { return };
    let _jobs = started(client(celery.with_file_name("python"), &["nats_flow.py", &server.port.to_string()], &[]));
    let exporter = exporter(&server.url(), []);
    let watched = Watched::new(exporter, &DELIVERED, &DEPTHS).once_filled();
    survives(&mut server, &[watched]);
}
