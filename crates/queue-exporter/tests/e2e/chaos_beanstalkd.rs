//! beanstalkd under chaos: with a log that keeps its jobs, and without.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::chaos::{BACKLOG, Broker, PAUSE, Stop, Watched, again_and_again, survives};
use crate::exporter;
use crate::real_beanstalkd::{Client, Server};

impl Broker for Server {
    fn down(&mut self, signal: &str) {
        Server::down(self, signal);
    }

    fn signal(&self, signal: &str) {
        Server::signal(self, signal);
    }

    fn up(&mut self) {
        Server::up(self);
    }
}

const DEPTHS: [&str; 1] = ["queue_depth{queue_name=\"mail\"}"];
const DELETED: [&str; 1] = ["messages_processed_total{queue_name=\"mail\",status=\"success\"}"];

/// Jobs through a tube, in which some stay.
fn jobs(port: u16, stop: &AtomicBool) -> io::Result<()> {
    let mut client = Client::try_connect(port)?;
    client.try_run("use mail")?;
    client.try_run("watch mail")?;
    for _ in client.ready("mail")?..BACKLOG {
        client.try_run("put 10 0 100 1\r\nx")?;
    }
    while !stop.load(Ordering::Relaxed) {
        client.try_run("put 10 0 100 1\r\nx")?;
        let id = client.try_run("reserve")?;
        client.try_run(&format!("delete {id}"))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn beanstalkd_survives(keeps: bool) {
    let Some(mut server) = Server::start(keeps) else { return };
    let (port, stop) = (server.port, AtomicBool::new(false));
    let backlog = || {
        let ready = Client::try_connect(port).and_then(|mut client| client.ready("mail"));
        keeps || ready.is_ok_and(|ready| ready >= BACKLOG)
    };
    thread::scope(|scope| {
        scope.spawn(|| again_and_again(&stop, || jobs(port, &stop)));
        let _stop = Stop(&stop);
        let watched = Watched::new(exporter(&format!("beanstalk://127.0.0.1:{port}"), []), &DELETED, &DEPTHS);
        survives(&mut server, &[watched.once_filled().with_backlog(&backlog)]);
    });
}

#[test]
fn counters_survive_a_beanstalkd_that_loses_its_jobs() {
    beanstalkd_survives(false);
}

#[test]
fn counters_survive_a_beanstalkd_that_keeps_its_jobs() {
    beanstalkd_survives(true);
}
