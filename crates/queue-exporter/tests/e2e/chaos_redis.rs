//! Redis under chaos: a group of a stream, and queues of BullMQ.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use exporter_common::testing::real;

use crate::chaos::{ANSWER, BACKLOG, Broker, PAUSE, Stop, Watched, again_and_again, started, survives};
use crate::exporter;
use crate::redis_server::{RedisServer, client};

impl Broker for RedisServer {
    fn down(&mut self, signal: &str) {
        RedisServer::down(self, signal);
    }

    fn signal(&self, signal: &str) {
        RedisServer::signal(self, signal);
    }

    fn up(&mut self) {
        RedisServer::up(self);
    }
}

/// Adds and reads entries of a stream.
fn jobs(port: u16, stop: &AtomicBool) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(format!("redis://127.0.0.1:{port}"))?.get_connection()?;
    if !redis::cmd("EXISTS").arg("s").query::<bool>(&mut connection)? {
        // in one transaction: without the backlog, the group would be empty
        let mut pipe = redis::pipe();
        pipe.cmd("XGROUP").arg(&["CREATE", "s", "g", "0", "MKSTREAM"]).ignore();
        for _ in 0..BACKLOG {
            pipe.cmd("XADD").arg(&["s", "*", "n", "1"]).ignore();
        }
        pipe.atomic().exec(&mut connection)?;
    }
    while !stop.load(Ordering::Relaxed) {
        let mut pipe = redis::pipe();
        pipe.cmd("XADD").arg(&["s", "*", "n", "1"]).ignore();
        pipe.cmd("XREADGROUP").arg(&["GROUP", "g", "c", "COUNT", "1", "NOACK", "STREAMS", "s", ">"]).ignore();
        pipe.atomic().exec(&mut connection)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The length of a list, if Redis responds.
fn length(port: u16, key: &str) -> Option<u32> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut connection = client.get_connection_with_timeout(ANSWER).ok()?;
    connection.set_read_timeout(Some(ANSWER)).ok()?;
    redis::cmd("LLEN").arg(key).query(&mut connection).ok()
}

const STREAM: [&str; 1] = ["queue_depth{queue_name=\"s\",scope=\"g\"}"];
const READ: [&str; 1] = ["messages_processed_total{queue_name=\"s\",scope=\"g\",status=\"success\"}"];
const ENDED: [&str; 1] = ["messages_processed_total{queue_name=\"flow\",status=\"success\"}"];
const KEPT: [&str; 1] = ["queue_depth{queue_name=\"kept\"}"];

fn redis_survives(arguments: &[&str]) {
    let (Some(node), Some(mut server)) = (real("bullmq-node"), RedisServer::start(arguments)) else { return };
    let (port, stop) = (server.port, AtomicBool::new(false));
    let url = server.url();
    let of = |system: &str| exporter(&url, [&format!("--queue.system={system}"), "--queue.timeout=1s"]);
    let backlog = || length(port, "bull:kept:wait").is_some_and(|length| length >= BACKLOG);
    let exporters = [
        // the stream exists with its backlog, or not at all
        Watched::new(of("redis-streams"), &READ, &STREAM).there(&[]),
        Watched::new(of("bullmq"), &ENDED, &KEPT).with_backlog(&backlog),
    ];
    let _jobs = started(client(node, &["bullmq_flow.js", &port.to_string()], &[]));
    thread::scope(|scope| {
        scope.spawn(|| again_and_again(&stop, || jobs(port, &stop)));
        let _stop = Stop(&stop);
        survives(&mut server, &exporters);
    });
}

#[test]
fn counters_survive_a_redis_that_loses_its_data() {
    redis_survives(&[]);
}

#[test]
fn counters_survive_a_redis_that_keeps_its_data() {
    redis_survives(&["--appendonly", "yes", "--appendfsync", "everysec"]);
}
