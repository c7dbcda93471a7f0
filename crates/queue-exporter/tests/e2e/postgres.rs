//! The queue system `postgres` against a real PostgreSQL: with real clients, documented tables, and a query file.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exporter_common::testing::{Running, assert_lint, eventually, free_port, real, value};

use crate::broker::Ended;
use crate::redis_server::{client, run};
use crate::{SUCCESS, assert_vocabulary, exporter, once};

/// A server on loopback and a Unix socket, in a temporary folder.
struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
    _process: Ended,
}

/// The user `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

fn as_nobody(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

impl Postgres {
    fn start(options: &[&str]) -> Option<Self> {
        let (initdb, server) = (real("initdb")?, real("postgres")?);
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        run({
            let mut command = as_nobody(&initdb, folder.path());
            command.args(["-D", "data", "-U", "admin", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
            command
        });
        let access = "local all all trust\nhost all reader all scram-sha-256\nhost all all all trust\n";
        std::fs::write(folder.path().join("data/pg_hba.conf"), access).unwrap();
        if options.contains(&"ssl=on") {
            let mut command = as_nobody(&real("openssl")?, folder.path());
            command.args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split(' '));
            command.args("-addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost -keyout data/server.key -out data/server.crt".split(' '));
            run(command);
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = as_nobody(&server, folder.path());
        let sockets = folder.path().to_str().unwrap();
        command.args([
            "-D",
            "data",
            "-p",
            &port.to_string(),
            "-k",
            sockets,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]);
        for option in options {
            command.args(["-c", option]);
        }
        let process = Ended(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let started = Self { folder, port, _process: process };
        eventually("PostgreSQL accepts connections", || {
            let log = std::fs::read_to_string(started.folder.path().join("log")).unwrap();
            log.contains("ready to accept connections").then_some(())
        });
        started.sql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'secret' IN ROLE pg_read_all_data");
        Some(started)
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(real("psql").unwrap());
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "admin", "-d", database, "-q", "-v", "ON_ERROR_STOP=1"]);
        command
    }

    fn sql(&self, database: &str, text: &str) {
        let mut command = self.psql(database);
        command.args(["-c", text]);
        run(command);
    }

    fn create(&self, database: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
        format!("postgres://admin@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL for the exporter.
    fn url(&self, database: &str) -> String {
        format!("postgres://reader:secret@127.0.0.1:{}/{database}", self.port)
    }
}

fn number(metrics: &str, name: &str, queue: &str, scope: &str, state: &str) -> Option<f64> {
    let state = if state.is_empty() { String::new() } else { format!(",state=\"{state}\"") };
    value(metrics, &format!("{name}{{queue_name=\"{queue}\",scope=\"{scope}\"{state}}}"))
}

/// The states of a queue in the order of `STATES`.
fn states(metrics: &str, queue: &str, scope: &str) -> [Option<f64>; 7] {
    STATES.map(|state| number(metrics, "queue_messages", queue, scope, state))
}

const STATES: [&str; 7] = ["ready", "in_flight", "delayed", "retry", "dead", "blocked", "canceled"];

fn age(metrics: &str, queue: &str, scope: &str) -> Option<f64> {
    number(metrics, "queue_oldest_message_age_seconds", queue, scope, "")
}

fn assert_complete(metrics: &str, exporter: &Running) {
    assert_eq!(value(metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(metrics);
    assert_lint(metrics);
}

fn query_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.sql");
    std::fs::write(&file, text).unwrap();
    (folder, format!("--queue.query-file={}", file.display()))
}

#[test]
fn jobs_of_real_clients_are_in_their_states() {
    let (Some(node), Some(python)) = (real("bullmq-node"), real("systems-python")) else { return };
    let Some(server) = Postgres::start(&[]) else { return };
    let some = |numbers: [i32; 7]| numbers.map(|number| (number >= 0).then_some(f64::from(number)));
    for (program, script, preset, expected) in [
        (&node, "pgboss_jobs.js", "pg-boss", [4, 1, 2, 1, 1, -1, 1]),
        (&node, "graphile_jobs.js", "graphile-worker", [4, 1, 2, 0, 1, -1, -1]),
        (&python, "procrastinate_jobs.py", "procrastinate", [4, 1, 2, 0, 1, -1, 0]),
    ] {
        let database = preset.replace('-', "_");
        let url = server.create(&database);
        run(client(PathBuf::clone(program), &[script, &url, "4", "2"], &[]));
        let exporter = exporter(&server.url(&database), []);
        let metrics = exporter.scrape();
        assert_eq!(states(&metrics, "mail", preset), some(expected), "{preset}: {metrics}");
        assert!(age(&metrics, "mail", preset).is_some_and(|age| (0.0..120.0).contains(&age)), "{preset}: {metrics}");
        assert_complete(&metrics, &exporter);
        if preset == "pg-boss" {
            assert_eq!(number(&metrics, "queue_depth", "empty", preset, ""), Some(0.0), "{metrics}");
            assert_eq!(metrics.matches("queue_depth{").count(), 2, "internal queues: {metrics}");
        }
        if preset == "procrastinate" {
            server.sql(&database, "DELETE FROM procrastinate_events; DELETE FROM procrastinate_jobs");
            let metrics = exporter.scrape();
            assert_eq!(number(&metrics, "queue_depth", "mail", preset, ""), Some(0.0), "{metrics}");
            assert_complete(&metrics, &exporter);
        }
    }
}

/// A server with the documented tables of several queue systems in the database `several`.
fn start_documented() -> Option<Postgres> {
    let server = Postgres::start(&[])?;
    server.create("several");
    let mut command = server.psql("several");
    command.args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/documented.sql")]);
    run(command);
    Some(server)
}

#[test]
fn documented_tables_are_read_together_or_one_by_one() {
    let Some(server) = start_documented() else { return };
    let exporter = exporter(&server.url("several"), []);
    let metrics = exporter.scrape();
    let some = |numbers: [i32; 7]| numbers.map(|number| (number >= 0).then_some(f64::from(number)));
    for (queue, scope, expected) in [
        ("default", "river", [2, 1, 1, 1, 1, 1, 1]),
        ("default", "oban", [2, 1, 1, 1, 1, 0, 1]),
        ("mail", "solid-queue", [2, 1, 1, -1, 1, 1, -1]),
        ("mail", "good-job", [1, 1, 1, 1, 1, -1, -1]),
        ("Mail", "pgmq", [2, 1, 1, -1, -1, -1, -1]),
        ("empty", "pgmq", [0, 0, 0, -1, -1, -1, -1]),
    ] {
        assert_eq!(states(&metrics, queue, scope), some(expected), "{scope}: {metrics}");
        let is_empty = expected[0] == 0;
        assert!(age(&metrics, queue, scope).is_none_or(|age| (0.0..120.0).contains(&age)), "{scope}: {metrics}");
        assert_eq!(age(&metrics, queue, scope).is_none(), is_empty, "{scope}: {metrics}");
    }
    assert_complete(&metrics, &exporter);
    let (metrics, _) = once(&format!("{}?preset=river&preset=oban", server.url("several")), []);
    assert_eq!(metrics.matches("queue_depth{").count(), 2, "{metrics}");
    // the other tables are read if one is not readable
    server.sql("several", "REVOKE pg_read_all_data FROM reader; GRANT SELECT ON river_job TO reader");
    let metrics = exporter.scrape();
    assert_eq!(metrics.matches("queue_depth{").count(), 1, "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(value(&metrics, "queue_exporter_source_errors_total{reason=\"auth\"}") >= Some(4.0), "{metrics}");
    assert!(exporter.log().contains("permission denied"), "{}", exporter.log());
}

#[test]
fn a_query_of_your_own_is_read_in_a_read_only_transaction() {
    let Some(server) = Postgres::start(&[]) else { return };
    server.create("shop");
    server.sql("shop", "CREATE TABLE outbox (channel text, locked_at timestamp, created_at timestamp)");
    server.sql(
        "shop",
        "INSERT INTO outbox SELECT 'mail', NULL, timezone('UTC', now()) - interval '90 s' FROM generate_series(1, 3)",
    );
    let query = "SELECT channel AS queue, CASE WHEN locked_at IS NULL THEN 'ready' ELSE 'in_flight' END AS state,\n\
                 count(*) AS count, min(created_at) AS oldest FROM outbox GROUP BY 1, 2;\n";
    let (_folder, flag) = query_file(query);
    let exporter = exporter(&server.url("shop"), [&flag]);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"mail\"}"), Some(3.0), "{metrics}");
    let age = value(&metrics, "queue_oldest_message_age_seconds{queue_name=\"mail\"}");
    assert!(age.is_some_and(|age| (89.0..150.0).contains(&age)), "{age:?}");
    assert_complete(&metrics, &exporter);
    for (query, text) in [
        ("DELETE FROM outbox RETURNING 1", "syntax error"),
        ("SELECT 'a' AS queue, 'open' AS state, 1 AS count, now() AS oldest", "unknown state"),
        ("SELECT 'a' AS queue, 'ready' AS state, 1 AS count", "oldest does not exist"),
        (
            "SELECT set_config('transaction_read_only', 'off', true) AS queue, 'ready' AS state, 1 AS count, now() AS oldest",
            "read-write mode",
        ),
    ] {
        let (_folder, flag) = query_file(query);
        let (metrics, log) = once(&server.url("shop"), [&flag]);
        assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{query}: {metrics}");
        assert!(log.contains(text), "{query}: {log}");
    }
}

#[test]
fn a_query_that_hangs_leaves_time_for_the_others() {
    let Some(server) = start_documented() else { return };
    let exporter = exporter(&server.url("several"), []);
    let before = exporter.scrape();
    assert_eq!(before.matches("queue_depth{").count(), 6, "{before}");
    server.sql("several", "TRUNCATE good_jobs");
    let mut command = server.psql("several");
    command.args(["-c", "BEGIN; LOCK TABLE river_job, pgmq.meta; SELECT pg_sleep(600)"]);
    let _locks = Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    eventually("the tables are locked", || {
        let mut command = server.psql("several");
        command.args(["-Atc", "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().is_ok_and(|locks| locks >= 2).then_some(())
    });
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(value(&metrics, "queue_exporter_source_errors_total{reason=\"timeout\"}") >= Some(2.0), "{metrics}");
    let depth = |queue, scope| number(&metrics, "queue_depth", queue, scope, "");
    let read = [depth("default", "oban"), depth("mail", "solid-queue"), depth("mail", "good-job")];
    assert_eq!(read, [2.0, 2.0, 0.0].map(Some), "an empty queue is remembered: {metrics}");
    assert_eq!([depth("default", "river"), depth("empty", "pgmq")], [None; 2], "{metrics}");
}

#[test]
fn the_server_ends_a_query_that_takes_too_long() {
    let Some(server) = Postgres::start(&[]) else { return };
    server.create("slow");
    let query = "SELECT 'a' AS queue, 'ready' AS state, 1 AS count, now() AS oldest FROM pg_sleep(60)";
    let (_folder, flag) = query_file(query);
    let (metrics, log) = once(&server.url("slow"), [&flag, "--queue.timeout=300ms"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"timeout\"}"), Some(1.0), "{log}");
    eventually("no query runs on the server", || {
        let mut command = server.psql("postgres");
        command.args([
            "-Atc",
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%'",
        ]);
        let output = command.output().unwrap();
        // this query itself is one of them
        (String::from_utf8_lossy(&output.stdout).trim() == "1").then_some(())
    });
}

#[test]
fn wrong_credentials_and_a_database_without_queues_are_reported() {
    let Some(server) = Postgres::start(&[]) else { return };
    for (url, reason, text) in [
        (server.url("postgres").replace("secret", "wrong"), "auth", "password authentication failed"),
        (server.url("none"), "protocol", "does not exist"),
        (server.url("postgres"), "partial", "no tables of pg-boss"),
        ("postgres://127.0.0.1:1/x".to_owned(), "connect", "PostgreSQL at 127.0.0.1:1"),
        (format!("{}?sslmode=verify-full", server.url("postgres").replace("127.0.0.1", "localhost")), "connect", "TLS"),
    ] {
        let (metrics, log) = once(&url, []);
        assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{url}: {metrics}");
        let errors = value(&metrics, &format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}"));
        assert!(errors >= Some(1.0), "{url}: {log}");
        assert!(log.contains(text) && !log.contains("secret"), "{url}: {log}");
    }
    let socket = format!("postgres://admin@localhost:{}/postgres?host={}", server.port, server.folder.path().display());
    let (_, log) = once(&socket, []);
    assert!(log.contains("no tables of pg-boss"), "{log}");
}

#[test]
fn an_encrypted_connection_verifies_the_server() {
    let Some(server) = Postgres::start(&["ssl=on"]) else { return };
    server.create("shop");
    let mut command = server.psql("shop");
    command.args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/documented.sql")]);
    run(command);
    let authority = format!("--queue.tls-ca-file={}", server.folder.path().join("data/server.crt").display());
    for (host, success, text) in [("localhost", 1.0, ""), ("127.0.0.1", 0.0, "certificate")] {
        let url = format!("{}?sslmode=verify-full&preset=river", server.url("shop").replace("127.0.0.1", host));
        let (metrics, log) = once(&url, [&authority]);
        assert_eq!(value(&metrics, SUCCESS), Some(success), "{log}");
        assert!(log.contains(text), "{log}");
    }
}
