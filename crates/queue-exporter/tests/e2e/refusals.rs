//! Invalid flags stop the program at the start with one line that names the remedy.

use exporter_common::testing::run;

#[test]
#[expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
fn an_invalid_flag_is_reported_on_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let no_pem = folder.path().join("no.pem");
    std::fs::write(&no_pem, "x").unwrap();
    let no_pem = no_pem.display();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let fifo = fifo.display();
    for (status, flags, message) in [
        (2, "", "queue-exporter: error: no queue system is configured: set --queue.url; try --help"),
        (2, "--queue.url=localhost", "--queue.url is not a URL (no scheme): write it as http://"),
        (2, "--queue.url=ftp://me:secret@h/", "--queue.url: unknown scheme ftp://"),
        (
            2,
            "--queue.url=amqp://me:secret@h",
            "unknown scheme amqp://: expected one of http://, https://, redis://, rediss://, redis-sentinel://, beanstalk://, nats+http://, nats+https://, kafka://, kafka+ssl://, postgres://, \
             postgresql://: \
             for RabbitMQ, use its management API: --queue.system rabbitmq --queue.url http://host:15672; try --help",
        ),
        (2, "--queue.url=redis://me:secret@h/x", "the database after the host is not a number"),
        (2, "--queue.url=redis://me:secret@h?x=y", "unknown parameter: valid parameters: prefix, node"),
        (2, "--queue.url=redis://me:secret@h?node=x --queue.system=rq", "unknown parameter: valid parameters: prefix"),
        (2, "--queue.url=redis://me:secret@h?node=x", "node=… is not a host:port"),
        (
            2,
            "--queue.url=http://h --queue.system=bullmq",
            "--queue.url: unknown scheme http://: expected one of redis://, rediss://",
        ),
        (2, "--queue.url=http://h --queue.max-queues=0", "--queue.max-queues"),
        (2, "--queue.url=unix:/secret", "--queue.url: unknown scheme unix://"),
        (2, "--queue.url=http://h --queue.system=activemq", "possible values: http, rabbitmq"),
        (2, "--queue.url=http://h --queue.include=(", "unclosed group"),
        (2, "--queue.url=http://h --queue.timeout=0", "longer than 0"),
        (2, "--queue.url=http://h --queue.timeout=5", "is not a duration: write 500ms"),
        (2, "--queue.url=http://h --poll.interval=5s --collect.cache-ttl=5s", "mutually exclusive"),
        (1, "--queue.url=http://me@h --queue.password-file=/missing", "cannot read --queue.password-file /missing"),
        (2, "--queue.url=http://h --queue.password-file=/missing", "set --queue.username"),
        (2, "--queue.url=http://h --queue.tls-ca-file=/missing", "use https:// or rediss:// in --queue.url"),
        (1, "--queue.url=https://h --queue.tls-ca-file=/missing", "cannot read --queue.tls-ca-file /missing"),
        (1, &format!("--queue.url=https://h --queue.tls-ca-file={no_pem}"), "no certificate found"),
        (1, &format!("--queue.url=https://h --queue.tls-ca-file={fifo}"), "not a regular file"),
        (
            1,
            &format!("--queue.url=https://h --queue.tls-cert-file={no_pem} --queue.tls-key-file={fifo}"),
            "no certificate found",
        ),
        (2, &format!("--queue.url=https://h --queue.tls-key-file={no_pem}"), "require each other"),
    ] {
        let flags = flags.split(' ').filter(|flag| !flag.is_empty()).chain(["--check"]);
        let output = run(env!("CARGO_BIN_EXE_queue-exporter"), flags.clone());
        let error = String::from_utf8(output.stderr).unwrap();
        let flags: Vec<_> = flags.collect();
        assert!(
            output.status.code() == Some(status) && error.contains(message),
            "{flags:?}: {} {error}",
            output.status
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_check_opens_no_connection() {
    let unused_port = "http://127.0.0.1:1/";
    let output = run(env!("CARGO_BIN_EXE_queue-exporter"), ["--check", "--queue.url", unused_port]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn help_shows_no_password() {
    let url = ("QUEUE_EXPORTER_QUEUE_URL", "http://me:secret@h/");
    #[expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_queue-exporter"))
        .arg("--help")
        .env(url.0, url.1)
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("QUEUE_EXPORTER_QUEUE_URL") && !help.contains("secret"), "{help}");
}
