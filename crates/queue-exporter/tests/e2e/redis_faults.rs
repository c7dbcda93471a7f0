//! Errors, Sentinel and TLS of a real Redis.

use exporter_common::testing::{eventually, free_port, real, value};

use crate::broker::patiently;
use crate::redis_server::{RedisServer, client, run, sentinel};
use crate::redis_support::{queue_values, system_exporter};
use crate::watch::Watch;
use crate::{SUCCESS, exporter};

#[test]
fn one_queue_of_the_wrong_type_hides_no_other() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues good bad", "LPUSH queue:good {}", "SET queue:bad x"]);
    let exporter = system_exporter(&server, "sidekiq");
    let metrics = exporter.scrape();
    assert_eq!(
        (queue_values(&metrics, "good", ["queue_depth"]), queue_values(&metrics, "bad", ["queue_depth"])),
        ([Some(1.0)], [None])
    );
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(1.0));
    server.run(&["DEL queue:bad"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0));
    server.run(&[
        "HSET bull:good:meta a 1",
        "HSET bull:bad:meta a 1",
        "SET bull:bad:events x",
        "LPUSH bull:good:wait 1",
    ]);
    let exporter = system_exporter(&server, "bullmq");
    for _ in 0..2 {
        let metrics = exporter.scrape();
        assert_eq!(
            (queue_values(&metrics, "good", ["queue_depth"]), queue_values(&metrics, "bad", ["queue_depth"])),
            ([Some(1.0)], [None])
        );
        assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    }
    server.run(&["DEL bull:bad:events"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
}

#[test]
fn errors_of_redis_are_counted_by_reason_and_recovered_from() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues mail", "LPUSH queue:mail {}"]);
    let errors = |metrics: &str, reason: &str| {
        value(metrics, &format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}")).unwrap()
    };
    let exporter = exporter(&server.url(), ["--queue.system=sidekiq", "--queue.timeout=500ms"]);
    let seen = || {
        let metrics = exporter.scrape();
        let [depth] = queue_values(&metrics, "mail", ["queue_depth"]);
        (depth, value(&metrics, SUCCESS), metrics)
    };
    assert!(matches!(seen(), (Some(1.0), Some(1.0), _)));
    // it keeps its connections, but does not respond
    server.signal("STOP");
    let (depth, success, metrics) = seen();
    assert_eq!((depth, success, errors(&metrics, "timeout")), (None, Some(0.0), 1.0), "{metrics}");
    server.signal("CONT");
    assert!(matches!(seen(), (Some(1.0), Some(1.0), _)), "{}", exporter.log());
    server.down("KILL");
    let (depth, success, metrics) = seen();
    assert_eq!((depth, success, errors(&metrics, "connect")), (None, Some(0.0), 1.0), "{metrics}");
    server.up();
    assert!(matches!(seen(), (None, Some(1.0), _)), "it came back empty: {}", exporter.log());
    let log = exporter.log();
    assert!(!log.contains("secret") && !log.contains("watcher"), "{log}");

    let wrong = format!("redis://watcher:wr0ngword@127.0.0.1:{}", server.port);
    let (metrics, log) = crate::once(&wrong, ["--queue.system=sidekiq", "--log.level=debug"]);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), 1.0), "{log}");
    assert!(log.contains("WRONGPASS") && log.contains("--queue.password-file") && !log.contains("wr0ngword"), "{log}");
    server.run(&["ACL SETUSER watcher -smembers"]);
    let (metrics, log) = crate::once(&server.url(), ["--queue.system=sidekiq"]);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), 1.0), "{log}");
    assert!(log.contains("NOPERM"), "{log}");
}

#[test]
fn the_master_is_found_through_sentinel_also_after_a_failover() {
    let Some(mut master) = RedisServer::start(&[]) else { return };
    let port = master.port.to_string();
    let Some(replica) = RedisServer::start(&["--replicaof", "127.0.0.1", &port]) else { return };
    let (_sentinel, _folder, port) = sentinel(&master);
    master.run(&["SADD queues mail", "LPUSH queue:mail {}", "SET stat:processed 5"]);
    eventually("it is replicated", || {
        let processed = redis::cmd("GET").arg("stat:processed").query::<Option<u32>>(&mut replica.connection());
        processed.unwrap()
    });
    eventually("the sentinel knows the replica", || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let mut command = redis::cmd("SENTINEL");
        let replicas =
            command.arg(&["REPLICAS", "jobs"]).query::<Vec<redis::Value>>(&mut client.get_connection().ok()?);
        (replicas.ok()?.len() == 1).then_some(())
    });
    let url =
        |name| format!("redis-sentinel://watcher:secret%25word@127.0.0.1:1/0?master={name}&sentinel=127.0.0.1:{port}");
    let exporter = exporter(&url("jobs"), ["--queue.system=sidekiq"]);
    let watch = Watch::default();
    let seen = |metrics: &str| {
        watch.see(metrics);
        let [depth] = queue_values(metrics, "mail", ["queue_depth"]);
        (depth, value(metrics, "messages_processed_total{status=\"success\"}"), value(metrics, SUCCESS))
    };
    let complete = (Some(1.0), Some(5.0), Some(1.0));
    assert_eq!(seen(&exporter.scrape()), complete, "{}", exporter.log());
    master.down("KILL");
    patiently("the replica is the master", || {
        let seen = seen(&exporter.scrape());
        assert!(
            seen == complete || seen == (None, None, Some(0.0)),
            "either no master is known, or the read is complete: {seen:?}"
        );
        (seen == complete).then_some(())
    });

    let (metrics, log) = crate::once(&url("others"), ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(log.contains("unknown master \\\"others\\\""), "{log}");
}

#[test]
fn redis_is_read_over_tls_in_another_database() {
    let (Some(openssl), Some(_)) = (real("openssl"), real("redis-server")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (file("key.pem"), file("cert.pem"));
    let names = "subjectAltName=IP:127.0.0.1";
    // by default, openssl marks such a certificate as a CA certificate
    let make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis -addext";
    let make: Vec<_> = make.split(' ').chain([names, "-keyout", &key, "-out", &certificate]).collect();
    run(client(openssl.clone(), &make, &[]));
    let port = free_port().to_string();
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = RedisServer::start(&arguments) else { return };
    let url = format!("rediss://watcher:secret%25word@127.0.0.1:{port}/3");
    let authority = format!("--queue.tls-ca-file={certificate}");
    let (metrics, log) = crate::once(&url, ["--queue.system=sidekiq", &authority]);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    let (metrics, log) = crate::once(&url, ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "an authority that the system does not know: {log}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"tls\"}"), Some(1.0), "{log}");
    let remedy = "the server's certificate is not accepted: no trusted CA signed it: set --queue.tls-ca-file";
    assert!(log.contains(remedy), "{log}");
    let other_key = file("other.pem");
    run(client(openssl, &["genrsa", "-out", &other_key, "2048"], &[]));
    let identity = [format!("--queue.tls-cert-file={certificate}"), format!("--queue.tls-key-file={other_key}")];
    let (_, log) = crate::once(&url, [&identity[0], &identity[1], "--queue.system=sidekiq"]);
    assert!(log.contains("the key does not belong to the certificate: use the key"), "{log}");
}
