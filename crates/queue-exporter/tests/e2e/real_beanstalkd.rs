//! The queue system `beanstalkd` against the real one.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use exporter_common::testing::{assert_lint, eventually, free_port, real, value};

use crate::broker::Ended;
use crate::chaos::ANSWER;
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter};

/// A server, with a log of its jobs if they must survive a restart.
pub(crate) struct Server {
    program: PathBuf,
    folder: Option<tempfile::TempDir>,
    pub(crate) port: u16,
    process: Option<Ended>,
}

impl Server {
    pub(crate) fn start(keeps: bool) -> Option<Self> {
        let program = real("beanstalkd")?;
        let folder = keeps.then(|| tempfile::tempdir().unwrap());
        let mut server = Self { program, folder, port: free_port(), process: None };
        server.up();
        Some(server)
    }

    pub(crate) fn up(&mut self) {
        let mut server = Command::new(&self.program);
        server.args(["-l", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(folder) = &self.folder {
            server.arg("-b").arg(folder.path());
        }
        self.process = Some(Ended(server.spawn().unwrap()));
        eventually("beanstalkd responds", || Client::try_connect(self.port).ok());
    }

    pub(crate) fn down(&mut self, signal: &str) {
        self.process.take().unwrap().end(signal);
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }
}

/// A connection that runs commands.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The second word of the reply: the id of a job.
    pub(crate) fn try_run(&mut self, command: &str) -> io::Result<String> {
        write!(self.0.get_mut(), "{command}\r\n")?;
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("RESERVED") {
            self.0.read_exact(&mut [0; 3])?; // the body, x
        }
        Ok(line.split_whitespace().nth(1).unwrap_or_default().to_owned())
    }

    /// Number of ready jobs of a tube; 0 if the tube does not exist.
    pub(crate) fn ready(&mut self, tube: &str) -> io::Result<u32> {
        let Ok(length) = self.try_run(&format!("stats-tube {tube}"))?.parse::<usize>() else { return Ok(0) };
        let mut stats = vec![0; length + 2];
        self.0.read_exact(&mut stats)?;
        let stats = String::from_utf8(stats).unwrap();
        let ready = stats.lines().find_map(|line| line.strip_prefix("current-jobs-ready: "));
        Ok(ready.unwrap().parse().unwrap())
    }

    fn run(&mut self, command: &str) -> String {
        self.try_run(command).unwrap()
    }

    fn put(&mut self, count: usize, delay: u32) {
        for _ in 0..count {
            self.run(&format!("put 10 {delay} 100 1\r\nx"));
        }
    }
}

const SEEN: [&str; 8] = [
    "queue_depth{queue_name=\"mail\"}",
    "queue_messages{queue_name=\"mail\",state=\"in_flight\"}",
    "queue_messages{queue_name=\"mail\",state=\"delayed\"}",
    "queue_messages{queue_name=\"mail\",state=\"dead\"}",
    "messages_enqueued_total{queue_name=\"mail\"}",
    "messages_processed_total{queue_name=\"mail\",status=\"success\"}",
    "queue_consumers{queue_name=\"mail\"}",
    "messages_dead_lettered_total",
];

#[test]
fn jobs_put_and_deleted_are_counted_exactly_across_a_restart() {
    let Some(mut server) = Server::start(false) else { return };
    let port = server.port;
    let mut client = Client::try_connect(port).unwrap();
    let exporter = exporter(&format!("beanstalk://127.0.0.1:{port}"), []);
    let watch = Watch::default();
    let seen = || {
        let metrics = exporter.scrape();
        watch.see(&metrics);
        (SEEN.map(|series| value(&metrics, series)), value(&metrics, SUCCESS), metrics)
    };
    client.run("use mail");
    client.run("watch mail");
    client.put(14, 0);
    client.put(1, 3600);
    let ids: Vec<_> = (0..11).map(|_| client.run("reserve")).collect();
    for id in &ids[..7] {
        client.run(&format!("delete {id}"));
    }
    for id in &ids[7..10] {
        client.run(&format!("bury {id} 1"));
    }
    let (values, success, metrics) = seen();
    assert_eq!((values, success), ([3.0, 1.0, 1.0, 3.0, 15.0, 7.0, 1.0, 3.0].map(Some), Some(1.0)), "{metrics}");
    assert_eq!(value(&metrics, "queue_consumers{queue_name=\"default\"}"), Some(1.0), "our own is not counted");
    assert_vocabulary(&metrics);
    assert_lint(&metrics);

    drop(client);
    server.down("KILL");
    let (values, success, metrics) = seen();
    assert_eq!((values, success), ([None; 8], Some(0.0)), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"connect\"}"), Some(1.0));
    server.up();
    let mut client = Client::try_connect(port).unwrap();
    let (values, success, metrics) = seen();
    assert_eq!(
        (values[0], values[5], success),
        (Some(0.0), None, Some(1.0)),
        "a deleted tube is reported as empty: {metrics}"
    );
    client.run("use mail");
    client.put(2, 0);
    client.run("watch mail");
    let id = client.run("reserve");
    client.run(&format!("delete {id}"));
    let (values, success, metrics) = seen();
    assert_eq!((values, success), ([1.0, 0.0, 0.0, 0.0, 17.0, 8.0, 1.0, 3.0].map(Some), Some(1.0)), "{metrics}");
    let id = client.run("reserve");
    client.run(&format!("delete {id}"));
    drop(client);
    let empty = |metrics: &str| value(metrics, SEEN[4]).is_none() && value(metrics, SEEN[0]) == Some(0.0);
    exporter.scrape_until("the tube is deleted and shown as empty", empty);
}

#[test]
fn jobs_of_a_tube_recreated_between_two_scrapes_are_counted() {
    let Some(server) = Server::start(false) else { return };
    let port = server.port;
    let exporter = exporter(&format!("beanstalk://127.0.0.1:{port}"), []);
    for (jobs, sum) in [(7, 7.0), (3, 10.0), (2, 12.0)] {
        let mut client = Client::try_connect(port).unwrap();
        client.run("use mail");
        client.run("watch mail");
        client.put(jobs, 0);
        for _ in 0..jobs {
            let id = client.run("reserve");
            client.run(&format!("delete {id}"));
        }
        let metrics = exporter.scrape();
        assert_eq!([SEEN[4], SEEN[5]].map(|series| value(&metrics, series)), [Some(sum); 2], "{metrics}");
        drop(client);
        let length = || Client::try_connect(port).unwrap().run("stats-tube mail");
        eventually("the tube is deleted", || length().is_empty().then_some(()));
    }
}
