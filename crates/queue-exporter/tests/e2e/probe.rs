//! `--probe`: what one read finds, for people.

use exporter_common::testing::run;

use crate::redis_server::RedisServer;

/// The output, the log, and whether the exit status is 0.
fn probe(url: &str, flags: &[&str]) -> (String, String, bool) {
    let url = format!("--queue.url={url}");
    let output = run(env!("CARGO_BIN_EXE_queue-exporter"), [url.as_str(), "--probe"].iter().chain(flags));
    let [text, log] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (text, log, output.status.success())
}

#[test]
fn every_queue_and_what_is_wrong_is_printed() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let bullmq = ["--check", "--queue.system=bullmq"];
    let (text, log, success) = probe(&server.url(), &bullmq);
    assert_eq!((text.as_str(), success), ("0 queues found: 0 read\n", false), "{log}");
    assert!(log.contains("no queues found"), "{log}");
    server.run(&["HSET bull:mail:meta a 1", "RPUSH bull:mail:wait 1 2 3", "HSET bull:orders:meta a 1"]);
    let (text, log, success) = probe(&server.url(), &bullmq);
    assert!(text.contains("queue \"mail\": ready 3, in flight 0"), "{text} {log}");
    assert!(text.ends_with("2 queues found: 2 read\n") && success, "{text} {log}");
    server.run(&["SET bull:orders:wait x", "SET bull:old:id 5"]);
    let (text, log, success) = probe(&server.url(), &bullmq);
    assert!(text.contains("queue \"orders\": error: "), "{text} {log}");
    assert!(text.ends_with("2 queues found: 1 read, 1 with errors, 1 more hidden from this user or not supported\n"));
    assert!(!success && log.contains("queues of Bull 3 or 4 found"), "{log}");
    let (text, log, success) = probe("redis://127.0.0.1:1", &bullmq);
    assert!(text.contains("the list of queues is incomplete") && !success, "{text}");
    assert!(log.contains("cannot connect to Redis at 127.0.0.1:1"), "{log}");
}
