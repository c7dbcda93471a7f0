//! The queue system `nats` against a real server and a real client.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use exporter_common::testing::{assert_lint, eventually, free_port, real, value};

use crate::broker::Ended;
use crate::redis_server::{client, run};
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter};

const SEEN: [&str; 4] = [
    "queue_depth{queue_name=\"ORDERS\",scope=\"billing\"}",
    "queue_messages{queue_name=\"ORDERS\",scope=\"billing\",state=\"in_flight\"}",
    "messages_delivered_total{queue_name=\"ORDERS\",scope=\"billing\"}",
    "messages_enqueued_total{queue_name=\"ORDERS\"}",
];

/// A server with its own folder for streams.
pub(crate) struct Nats {
    program: PathBuf,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    monitoring: u16,
    process: Option<Ended>,
}

impl Nats {
    pub(crate) fn start() -> Option<Self> {
        let (program, folder) = (real("nats-server")?, tempfile::tempdir().unwrap());
        let mut server = Self { program, folder, port: free_port(), monitoring: free_port(), process: None };
        server.up();
        Some(server)
    }

    pub(crate) fn up(&mut self) {
        let [port, monitoring] = [self.port, self.monitoring].map(|port| port.to_string());
        let mut server = Command::new(&self.program);
        server.args(["-js", "-a", "127.0.0.1", "-p", &port, "-m", &monitoring, "-sd"]).arg(self.folder.path());
        self.process = Some(Ended(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()));
        eventually("NATS is healthy", || ureq::get(format!("http://127.0.0.1:{monitoring}/healthz")).call().ok());
    }

    pub(crate) fn down(&mut self, signal: &str) {
        self.process.take().unwrap().end(signal);
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }

    pub(crate) fn url(&self) -> String {
        format!("nats+http://127.0.0.1:{}", self.monitoring)
    }
}

#[test]
fn messages_published_and_acknowledged_are_counted_exactly_across_a_restart() {
    // the client is installed next to Celery
    let (Some(mut server), Some(celery)) = (Nats::start(), real("celery")) else { return };
    let exporter = exporter(&server.url(), []);
    let port = server.port.to_string();
    let watch = Watch::default();
    // an acknowledgment has no response: the client may exit before it is counted
    let seen = |expected: [Option<f64>; 4], success: f64| {
        exporter.scrape_until(&format!("{expected:?} of {SEEN:?}"), |metrics| {
            watch.see(metrics);
            SEEN.map(|series| value(metrics, series)) == expected && value(metrics, SUCCESS) == Some(success)
        })
    };
    let jobs = |counts: [&str; 3]| {
        run(client(celery.with_file_name("python"), &["nats_jobs.py", &port, counts[0], counts[1], counts[2]], &[]));
    };
    jobs(["14", "0", "0"]);
    let metrics = seen([14.0, 0.0, 0.0, 14.0].map(Some), 1.0);
    let age = value(&metrics, "queue_oldest_message_age_seconds{queue_name=\"ORDERS\",scope=\"billing\"}");
    assert!(age.is_some_and(|age| age < 60.0), "{metrics}");
    let nobody = ["queue_depth{queue_name=\"WORK\"}", "queue_consumers{queue_name=\"WORK\"}"];
    assert_eq!(nobody.map(|series| value(&metrics, series)), [14.0, 0.0].map(Some), "{metrics}");
    jobs(["0", "11", "10"]);
    let metrics = seen([3.0, 1.0, 11.0, 14.0].map(Some), 1.0);
    assert_vocabulary(&metrics);
    assert_lint(&metrics);

    server.down("KILL");
    seen([None; 4], 0.0);
    server.up();
    let back = |metrics: &str| value(metrics, SEEN[0]).is_some() && value(metrics, SUCCESS) == Some(1.0);
    exporter.scrape_until("it is back", |metrics| {
        watch.see(metrics);
        back(metrics)
    });
    jobs(["5", "3", "3"]);
    exporter.scrape_until("all queues are exported", |metrics| {
        watch.see(metrics);
        let [depth, _, delivered, enqueued] = SEEN.map(|series| value(metrics, series));
        back(metrics) && enqueued == Some(19.0) && delivered >= Some(14.0) && depth <= Some(6.0)
    });
}
