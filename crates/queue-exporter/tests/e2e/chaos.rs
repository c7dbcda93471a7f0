//! A Redis that is killed while jobs flow: no counter goes down, no depth is 0 that is not, success tells the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use exporter_common::testing::{Running, value};

use crate::redis_server::RedisServer;
use crate::watch::Watch;
use crate::{SUCCESS, exporter};

/// How many jobs stay in each queue.
const BACKLOG: usize = 20;

/// Jobs through a group of a stream and through a queue of BullMQ, until told to stop; after an error begun
/// anew, as clients do.
fn flow(port: u16, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let _ = jobs(port, stop);
        thread::sleep(Duration::from_millis(10)); // Redis is down: not to be asked in a tight loop
    }
}

fn jobs(port: u16, stop: &AtomicBool) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(format!("redis://127.0.0.1:{port}"))?.get_connection()?;
    let new = !redis::cmd("EXISTS").arg("s").query::<bool>(&mut connection)?;
    let add = |pipe: &mut redis::Pipeline| {
        pipe.cmd("XADD").arg(&["s", "*", "n", "1"]).ignore();
        pipe.cmd("INCR").arg("bull:b:id").ignore();
        pipe.cmd("LPUSH").arg(&["bull:b:wait", "1"]).ignore();
        pipe.cmd("HSET").arg(&["bull:b:meta", "opts.maxLenEvents", "10000"]).ignore();
    };
    if new {
        // at once: a group that is there before its backlog has truly nothing to do
        let mut pipe = redis::pipe();
        pipe.cmd("XGROUP").arg(&["CREATE", "s", "g", "0", "MKSTREAM"]).ignore();
        for _ in 0..BACKLOG {
            add(&mut pipe);
        }
        pipe.atomic().exec(&mut connection)?;
    }
    while !stop.load(Ordering::Relaxed) {
        let mut pipe = redis::pipe();
        add(&mut pipe);
        pipe.cmd("RPOP").arg("bull:b:wait").ignore();
        for event in ["active", "completed"] {
            pipe.cmd("XADD").arg(&["bull:b:events", "*", "event", event, "jobId", "1"]).ignore();
        }
        pipe.cmd("XREADGROUP").arg(&["GROUP", "g", "c", "COUNT", "1", "NOACK", "STREAMS", "s", ">"]).ignore();
        pipe.atomic().exec(&mut connection)?;
    }
    Ok(())
}

/// Scrapes until a condition holds, and everything in between is watched.
fn watched(exporter: &Running, watch: &Watch, up: bool, what: &str, fulfilled: impl Fn(&str) -> bool) -> String {
    exporter.scrape_until(what, |metrics| {
        watch.see(metrics);
        for depth in metrics.lines().filter(|line| line.starts_with("queue_depth{")) {
            let depth: f64 = depth.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(depth >= BACKLOG as f64, "{depth} is not the depth of any time: {metrics}");
        }
        assert!(up || value(metrics, SUCCESS) == Some(0.0), "Redis is down: {metrics}");
        fulfilled(metrics)
    })
}

fn survives(arguments: &[&str]) {
    let Some(mut server) = RedisServer::start(arguments) else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let (port, told) = (server.port, stop.clone());
    let jobs = thread::spawn(move || flow(port, &told));
    let systems = [
        ("redis-streams", "messages_processed_total{queue_name=\"s\",scope=\"g\",status=\"success\"}"),
        ("bullmq", "messages_processed_total{queue_name=\"b\",status=\"success\"}"),
    ];
    let exporters = systems.map(|(system, processed)| {
        (
            exporter(&server.url(), [&format!("--queue.system={system}"), "--queue.timeout=1s"]),
            processed,
            Watch::default(),
        )
    });
    for _ in 0..3 {
        for (exporter, processed, watch) in &exporters {
            let metrics = watched(exporter, watch, true, "jobs flow", |metrics| value(metrics, processed).is_some());
            let before = value(&metrics, processed);
            let flows = |metrics: &str| value(metrics, processed) > before && value(metrics, SUCCESS) == Some(1.0);
            watched(exporter, watch, true, "more are processed", flows);
        }
        server.down();
        for (exporter, _, watch) in &exporters {
            watched(exporter, watch, false, "it is told", |metrics| value(metrics, SUCCESS) == Some(0.0));
        }
        server.up();
    }
    for (exporter, processed, watch) in &exporters {
        let back = |metrics: &str| value(metrics, processed).is_some() && value(metrics, SUCCESS) == Some(1.0);
        watched(exporter, watch, true, "all is well", back);
    }
    stop.store(true, Ordering::Relaxed);
    jobs.join().unwrap();
}

#[test]
fn a_redis_that_loses_everything_is_survived() {
    survives(&[]);
}

#[test]
fn a_redis_that_keeps_everything_is_survived() {
    survives(&["--appendonly", "yes", "--appendfsync", "everysec"]);
}
