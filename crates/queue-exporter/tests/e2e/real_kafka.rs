//! The queue system `kafka` against librdkafka's mock cluster and tansu, with librdkafka as the client, whose own numbers
//! are compared.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use exporter_common::testing::{assert_lint, eventually, free_port, real, value};

use crate::broker::Ended;
use crate::redis_server::{client, run};
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter, once};

/// A client that follows commands.
struct Flow {
    _process: Ended,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// The brokers that it uses.
    brokers: Vec<String>,
}

impl Flow {
    fn start(brokers: &str, options: &[&str]) -> Option<Self> {
        let mut command = client(real("systems-python")?, &["kafka_flow.py", brokers], &[]);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut flow = Self { _process: Ended(process), input, output, brokers: Vec::new() };
        flow.brokers = flow.line().split(',').map(str::to_owned).collect();
        Some(flow)
    }

    fn line(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    fn run(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.line()
    }

    /// The lag and the end offset of a group in a partition, as the client sees them.
    fn lag(&mut self, group: &str, topic: &str, partition: u32) -> (f64, f64) {
        let shown = self.run(&format!("show {group} {topic} {partition}"));
        let [committed, _low, high] = shown.split(' ').collect::<Vec<_>>()[..] else { panic!("{shown}") };
        let [committed, high] = [committed, high].map(|offset| offset.parse::<f64>().unwrap());
        (high - committed, high)
    }

    fn url(&self, parameters: &str) -> String {
        format!("kafka://{}{parameters}", self.brokers[0])
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Checks the age of the oldest message, which has this time in milliseconds, in an exporter's next scrape.
fn assert_age(scrape: &dyn Fn() -> String, series: &str, milliseconds: u64) {
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let produced = milliseconds as f64 / 1000.0;
    let earliest = now() - produced;
    let metrics = scrape();
    let age = value(&metrics, series).unwrap();
    assert!((earliest..=now() - produced).contains(&age), "{series} {age}: {metrics}");
}

/// An hour ago in milliseconds.
fn an_hour_ago() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() - 3_600_000
}

const DEPTH: &str = "queue_depth{queue_name=\"orders\",scope=\"shop\"}";
const AGE: &str = "queue_oldest_message_age_seconds{queue_name=\"orders\",scope=\"shop\"}";
const PROCESSED: &str = "messages_processed_total{queue_name=\"orders\",scope=\"shop\",status=\"success\"}";
const ENQUEUED: &str = "messages_enqueued_total{queue_name=\"orders\"}";

#[test]
fn lag_and_offsets_are_those_of_the_client() {
    let Some(mut flow) = Flow::start("mock:3", &[]) else { return };
    let start = an_hour_ago();
    flow.run(&format!("produce orders 0 10 {start}"));
    flow.run(&format!("produce orders 1 5 {}", start + 100_000));
    flow.run("commit shop orders 0 7");
    flow.run("commit shop orders 1 5");
    flow.run("commit billing orders 0 2");
    let watch = Watch::default();
    let exporter = exporter(&flow.url("?group=shop&group=billing&group=unused"), []);
    let metrics = exporter.scrape();
    watch.see(&metrics);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    let (lag, end) = flow.lag("shop", "orders", 0);
    let (other_lag, other_end) = flow.lag("shop", "orders", 1);
    assert_eq!(value(&metrics, DEPTH), Some(lag + other_lag), "{metrics}");
    assert_eq!((lag, other_lag, value(&metrics, ENQUEUED)), (3.0, 0.0, Some(end + other_end)), "{metrics}");
    assert_eq!(value(&metrics, "queue_stream_length{queue_name=\"orders\"}"), Some(15.0), "{metrics}");
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"orders\",scope=\"billing\"}"), Some(8.0), "{metrics}");
    let replicas = ["queue_replicas", "queue_replicas_in_sync", "queue_partitions_under_replicated"]
        .map(|name| value(&metrics, &format!("{name}{{queue_name=\"orders\"}}")));
    assert_eq!(replicas, [3.0, 3.0, 0.0].map(Some), "{metrics}");
    assert!(!metrics.contains("unused") && !metrics.contains("queue_consumers{"), "the mock has no members: {metrics}");
    assert_age(&|| exporter.scrape(), AGE, start + 7000);
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    flow.run("commit shop orders 0 9");
    flow.run(&format!("produce orders 1 4 {start}"));
    flow.run("commit shop orders 1 6");
    let metrics = exporter.scrape();
    watch.see(&metrics);
    assert_eq!([DEPTH, PROCESSED, ENQUEUED].map(|it| value(&metrics, it)), [4.0, 3.0, 19.0].map(Some), "{metrics}");
    flow.run("commit shop orders 0 1");
    let metrics = exporter.scrape();
    watch.see(&metrics);
    assert_eq!([DEPTH, PROCESSED].map(|it| value(&metrics, it)), [12.0, 3.0].map(Some), "set back: {metrics}");
}

#[test]
fn the_age_is_exact_in_batches_and_that_of_the_batch_if_it_is_compressed() {
    let Some(mut flow) = Flow::start("mock:1", &[]) else { return };
    let start = an_hour_ago();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        flow.run(&format!("batch {compression} {compression} 50 {start}"));
        flow.run(&format!("commit shop {compression} 0 3"));
    }
    let exporter = exporter(&flow.url("?group=shop"), []);
    for (topic, time) in [("none", start + 3000), ("gzip", start), ("snappy", start), ("lz4", start), ("zstd", start)] {
        let series = format!("queue_oldest_message_age_seconds{{queue_name=\"{topic}\",scope=\"shop\"}}");
        assert_age(&|| exporter.scrape(), &series, time);
    }
    let (metrics, log) =
        once(&flow.url("?group=shop&age=false"), ["--queue.include=none|zstd", "--queue.exclude=zstd"]);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    assert_eq!(metrics.matches("queue_depth{").count(), 1, "{metrics}");
    assert!(!metrics.contains("queue_oldest_message_age_seconds{"), "{metrics}");
    assert_vocabulary(&metrics);
}

#[test]
fn a_cluster_that_cannot_list_groups_is_not_read_completely() {
    let Some(flow) = Flow::start("mock:1", &[]) else { return };
    let (metrics, log) = once(&flow.url(""), []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("does not support the request ListGroups"), "{log}");
}

/// A tansu that tells clients to use another port of this host, and its own port.
fn tansu(advertised: &str) -> Option<(Ended, u16)> {
    let port = free_port();
    let mut command = Command::new(real("tansu")?);
    command.args(["--listener-url", &format!("tcp://127.0.0.1:{port}"), "--advertised-listener-url"]);
    command.arg(if advertised.is_empty() { format!("tcp://127.0.0.1:{port}") } else { format!("tcp://{advertised}") });
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Ended(command.spawn().unwrap());
    eventually("tansu accepts connections", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    Some((server, port))
}

#[test]
fn groups_of_a_broker_are_found() {
    let Some((_server, port)) = tansu("") else { return };
    let Some(mut flow) = Flow::start(&format!("127.0.0.1:{port}"), &[]) else { return };
    let start = an_hour_ago();
    flow.run("topic orders 2");
    flow.run(&format!("produce orders 0 5 {start}"));
    flow.run(&format!("produce orders 1 5 {start}"));
    flow.run("consume shop orders"); // tansu lists groups that had members
    flow.run("commit shop orders 0 2");
    flow.run("commit shop orders 1 1");
    let exporter = exporter(&flow.url("?exclude-group=console-.*"), []);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    let lag = flow.lag("shop", "orders", 0).0 + flow.lag("shop", "orders", 1).0;
    assert_eq!((lag, value(&metrics, DEPTH)), (7.0, Some(lag)), "{metrics}");
    assert_age(&|| exporter.scrape(), AGE, start + 1000);
    flow.run("commit shop orders 1 4");
    let metrics = exporter.scrape();
    assert_eq!([DEPTH, PROCESSED, ENQUEUED].map(|it| value(&metrics, it)), [4.0, 3.0, 10.0].map(Some), "{metrics}");
    let (metrics, _) = once(&flow.url("?include-group=other"), []);
    assert!(!metrics.contains("scope="), "{metrics}");
}

#[test]
fn passwords_are_proved_and_connections_encrypted() {
    let (Some(python), Some(openssl)) = (real("systems-python"), real("openssl")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["server.crt", "server.key"].map(|name| folder.path().join(name).display().to_string());
    let mut command = Command::new(openssl);
    command.args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '));
    command.args(["-addext", "basicConstraints=CA:FALSE", "-addext", "subjectAltName=DNS:localhost"]);
    run({
        command.args(["-keyout", &key, "-out", &certificate]);
        command
    });
    let proxied = free_port();
    let Some((_server, port)) = tansu(&format!("localhost:{proxied}")) else { return };
    let ports = [proxied, port].map(|port| port.to_string());
    let mut proxy = client(python, &["kafka_proxy.py", &ports[0], &ports[1], &certificate, &key], &[]);
    let mut proxy = proxy.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let listening = BufReader::new(proxy.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let _proxy = Ended(proxy);
    assert_eq!(listening, "listening");
    // another client first: the proxy is right
    let certificate_option = format!("ssl.ca.location={certificate}");
    let options = ["security.protocol=SASL_SSL", "sasl.username=me", "sasl.password=secret", &certificate_option];
    let options = [&options[..], &["sasl.mechanism=SCRAM-SHA-512"]].concat();
    let Some(mut flow) = Flow::start(&format!("localhost:{proxied}"), &options) else { return };
    flow.run("topic orders 1");
    flow.run(&format!("produce orders 0 3 {}", an_hour_ago()));
    let ca = format!("--queue.tls-ca-file={certificate}");
    let read = |user: &str, mechanism: &str| {
        once(&format!("kafka+ssl://{user}@localhost:{proxied}?mechanism={mechanism}"), [&ca])
    };
    for (user, mechanism) in [("me:secret", "SCRAM-SHA-512"), ("me:secret", "SCRAM-SHA-256"), ("plain:secret", "PLAIN")]
    {
        let (metrics, log) = read(user, mechanism);
        assert_eq!(value(&metrics, ENQUEUED), Some(3.0), "{mechanism}: {log}");
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{mechanism}: {log}");
    }
    for (user, mechanism) in
        [("me:wrong", "SCRAM-SHA-512"), ("other:secret", "SCRAM-SHA-256"), ("plain:wrong", "PLAIN")]
    {
        let (metrics, log) = read(user, mechanism);
        let failed = value(&metrics, "queue_exporter_source_errors_total{reason=\"auth\"}");
        assert!(failed >= Some(1.0) && log.contains("cannot authenticate"), "{mechanism}: {log} {metrics}");
        assert!(!log.contains("wrong") && !log.contains("secret"), "{log}");
    }
    let (metrics, log) = once(&format!("kafka+ssl://me:secret@localhost:{proxied}"), []);
    assert!(value(&metrics, "queue_exporter_source_errors_total{reason=\"tls\"}") >= Some(1.0), "{log}");
    let (_, log) = once(&format!("kafka://localhost:{proxied}"), []);
    assert!(log.contains("kafka+ssl://"), "{log}");
}
