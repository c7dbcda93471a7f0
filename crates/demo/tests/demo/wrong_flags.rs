//! Wrong flags of the demo and of its exporters, which are in the same program.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::DEMO;

/// Words of libraries that say nothing to a user.
const TERMS: &[&str] = &[
    "unexpected argument",
    "digit found",
    "non-zero type",
    "is not in ",
    "builder error",
    "without a base",
    "client error",
    "Error {",
    "(\"",
];

#[test]
fn a_wrong_flag_gets_one_line_in_the_words_of_its_user() {
    for (program, arguments) in [
        ("demo", "--port-offset x"),
        ("demo", "--port-offset 70000"),
        ("demo", "app --success-rate x"),
        ("demo", "app --success-rate 101"),
        ("demo", "app --workers 0"),
        ("demo", "app --work 5"),
        ("demo", "app --work -5s"),
        ("demo", "--port-offset -1"),
        ("demo", "web --access-log x --rotate-at 1k"),
        ("demo", "load --app localhost"),
        ("demo", "jobs --url nats://h --jobs many"),
        ("demo", "jobs --url nats://h --speed 0"),
        ("demo", "healthcheck localhost"),
        ("demo", "healthcheck http://127.0.0.1:1/"),
        ("cpu-exporter", "--web.max-requests x"),
        ("cpu-exporter", "--web.max-requests -1"),
        ("cpu-exporter", "--scrape.timeout -5s"),
        ("app-status-exporter", "suggest --second-read -5s http://127.0.0.1:1/"),
        ("cpu-exporter", "--collector.cgroups.max x"),
        ("cpu-exporter", "--collector.processes.max 0"),
        ("httpd-log-exporter", "--access-log x --metrics.max-series x"),
        ("httpd-log-exporter", "--access-log x --metrics.buckets x"),
        ("httpd-log-exporter", "--access-log syslog+udp://h:x"),
        ("app-status-exporter", "--app.url localhost"),
        ("app-status-exporter", "suggest page"),
        ("queue-exporter", "--queue.url localhost"),
        ("queue-exporter", "--queue.url http://h --queue.max-queues 0"),
    ] {
        let mut command = Command::new(DEMO);
        let output = command.arg0(program).args(arguments.split(' ')).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{program} {arguments}");
        assert_eq!(error.lines().count(), 1, "{program} {arguments}: {error}");
        for term in TERMS {
            assert!(!error.contains(term), "{program} {arguments}: {error}");
        }
    }
}
