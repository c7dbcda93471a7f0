//! Flags that cannot be meant end the program at start with one line that says what to do.

use exporter_common::testing::run;

#[test]
fn wrong_flags_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let no_pem = folder.path().join("no.pem");
    std::fs::write(&no_pem, "x").unwrap();
    let no_pem = no_pem.display();
    for (flags, told) in [
        ("", "name one with --queue.url"),
        ("--queue.url=localhost", "--queue.url is no URL"),
        ("--queue.url=ftp://me:secret@h/", "--queue.url begins with ftp://"),
        ("--queue.url=redis://me:secret@h/x", "the database after the host is no number"),
        (
            "--queue.url=http://h --queue.system=bullmq",
            "--queue.url begins with http://, not with one of redis://, rediss://",
        ),
        ("--queue.url=http://h --queue.max-queues=0", "--queue.max-queues"),
        ("--queue.url=unix:/secret", "--queue.url begins with unix://"),
        ("--queue.url=http://h --queue.system=kafka", "possible values: http, rabbitmq"),
        ("--queue.url=http://h --queue.include=(", "unclosed group"),
        ("--queue.url=http://h --queue.timeout=0", "longer than 0"),
        ("--queue.url=http://h --queue.timeout=5", "write it as 500ms"),
        ("--queue.url=http://h --poll.interval=5s --collect.cache-ttl=5s", "exclude each other"),
        ("--queue.url=http://me@h --queue.password-file=/missing", "cannot read --queue.password-file /missing"),
        ("--queue.url=http://h --queue.password-file=/missing", "without --queue.username"),
        ("--queue.url=http://h --queue.tls-ca-file=/missing", "begin --queue.url with https://"),
        ("--queue.url=https://h --queue.tls-ca-file=/missing", "cannot read certificates from --queue.tls-ca-file"),
        (&format!("--queue.url=https://h --queue.tls-ca-file={no_pem}"), "no certificate in --queue.tls-ca-file"),
        (&format!("--queue.url=https://h --queue.tls-key-file={no_pem}"), "need each other"),
    ] {
        let flags = flags.split(' ').filter(|flag| !flag.is_empty()).chain(["--check"]);
        let output = run(env!("CARGO_BIN_EXE_queue-exporter"), flags.clone());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(told), "{:?}: {said}", flags.collect::<Vec<_>>());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_check_opens_no_connection() {
    let nobody_listens = "http://127.0.0.1:1/";
    let output = run(env!("CARGO_BIN_EXE_queue-exporter"), ["--check", "--queue.url", nobody_listens]);
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
