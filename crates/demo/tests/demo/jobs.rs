//! `demo jobs` with real servers of NATS and beanstalkd: what it says it did is what queue-exporter exports of them, and
//! a broker may come and go.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exporter_common::testing::{Running, eventually, real, run, value};

use crate::DEMO;
use crate::broker::{Ended, free};

const QUEUES: [&str; 3] = ["orders", "notifications", "analytics"];

/// A server on ports of its own.
struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    address: String,
    /// Where its jobs go, and what its exporter reads.
    jobs: String,
    exporter: String,
    /// The labels that the exporter puts beside the queue's name.
    scope: &'static str,
    /// What tells that jobs flow: a metric, and labels.
    progress: (&'static str, &'static str),
    process: Option<Ended>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A NATS that keeps its streams over a restart.
    fn nats() -> Option<Self> {
        let (program, folder, port, monitoring) = (real("nats-server")?, tempfile::tempdir().unwrap(), free(), free());
        let store = folder.path().display();
        let line = format!("-js -a 127.0.0.1 -p {port} -m {monitoring} -sd {store}");
        let exporter = format!("nats+http://127.0.0.1:{monitoring}");
        let mut server = Self::start(program, folder, &line, port, "nats", exporter);
        (server.scope, server.progress) = (",scope=\"workers\"", ("messages_delivered_total", ""));
        Some(server)
    }

    /// A beanstalkd that forgets its jobs.
    fn beanstalkd() -> Option<Self> {
        let (program, folder, port) = (real("beanstalkd")?, tempfile::tempdir().unwrap(), free());
        let exporter = format!("beanstalk://127.0.0.1:{port}");
        Some(Self::start(program, folder, &format!("-l 127.0.0.1 -p {port}"), port, "beanstalk", exporter))
    }

    fn start(
        program: PathBuf,
        folder: tempfile::TempDir,
        line: &str,
        port: u16,
        scheme: &str,
        exporter: String,
    ) -> Self {
        let mut server = Self {
            program,
            arguments: line.split(' ').map(str::to_owned).collect(),
            address: format!("127.0.0.1:{port}"),
            jobs: format!("{scheme}://127.0.0.1:{port}"),
            exporter,
            scope: "",
            progress: ("messages_processed_total", ",status=\"success\""),
            process: None,
            _folder: folder,
        };
        server.up();
        server
    }

    fn up(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Ended(command.spawn().unwrap()));
        eventually("the server listens", || std::net::TcpStream::connect(&self.address).ok());
    }

    fn down(&mut self) {
        self.process.take().unwrap().end("TERM");
    }

    fn jobs(&self, flags: &[&str]) -> Running {
        let url = format!("--url={}", self.jobs);
        Running::spawn(Command::new(DEMO).args(["jobs", &url, "--listen=127.0.0.1:0"]).args(flags))
    }

    fn exporter(&self) -> Running {
        let flags = [format!("--queue.url={}", self.exporter), "--web.listen-address=127.0.0.1:0".to_owned()];
        Running::spawn(Command::new(DEMO).arg0("queue-exporter").args(flags))
    }

    /// What is exported of a queue, and of who works on its jobs; `more` are labels.
    fn exported(&self, metrics: &str, metric: &str, queue: &str, more: &str) -> Option<f64> {
        value(metrics, &format!("{metric}{{queue_name=\"{queue}\"{}{more}}}", self.scope))
    }
}

/// What the program says it did with a queue, when it says it: added, done, failed, and of those worked on again.
fn told(log: &str, what: &str, queue: &str) -> Option<[f64; 4]> {
    let line = log.lines().find(|line| line.contains(what) && line.contains(&format!("queue={queue} ")))?;
    let count = |name: &str| {
        let mut words = line.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
    };
    Some(["added", "done", "failed", "requeued"].map(count))
}

/// Runs so many jobs through each queue; the metrics when all are done, and what became of those of each queue.
fn all_done(server: &Server, number: u32) -> (String, [[f64; 4]; 3], Running) {
    let jobs = server.jobs(&[&format!("--jobs={number}"), "--speed=1000"]);
    let counts = QUEUES.map(|queue| eventually("all are done", || told(&jobs.log(), "all done", queue)));
    for [added, done, failed, again] in counts {
        assert_eq!((added, done + failed - again), (number.into(), number.into()));
    }
    assert!(counts.iter().any(|[_, _, failed, _]| *failed > 0.0), "some fail: {counts:?}");
    let metrics = server
        .exporter()
        .scrape_until("all is read", |metrics| value(metrics, "queue_exporter_scrape_success") == Some(1.0));
    (metrics, counts, jobs)
}

#[test]
fn what_was_done_with_jobs_of_nats_is_exported_exactly() {
    let Some(server) = Server::nats() else { return };
    let (metrics, _, _jobs) = all_done(&server, 200);
    for queue in QUEUES {
        let exported = |metric, more| server.exported(&metrics, metric, queue, more);
        assert_eq!(exported("queue_depth", ""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"in_flight\""), Some(0.0), "{metrics}");
        assert_eq!(exported("messages_delivered_total", ""), Some(200.0), "{metrics}");
        // NATS does not tell those that were terminated from those that were done
        assert_eq!(exported("messages_processed_total", ",status=\"success\""), None, "{metrics}");
        let of_stream = |metric| value(&metrics, &format!("{metric}{{queue_name=\"{queue}\"}}"));
        assert_eq!(of_stream("messages_enqueued_total"), Some(200.0), "{metrics}");
        assert_eq!(of_stream("queue_message_bytes"), Some(0.0), "what is done stays no longer: {metrics}");
    }
}

#[test]
fn what_was_done_with_jobs_of_beanstalkd_is_exported_exactly() {
    let Some(server) = Server::beanstalkd() else { return };
    let (metrics, counts, _jobs) = all_done(&server, 1200);
    assert!(counts.iter().any(|[_, _, _, again]| *again > 0.0), "so many fail that some are kicked: {counts:?}");
    for (queue, [added, done, failed, again]) in QUEUES.into_iter().zip(counts) {
        let exported = |metric, more| server.exported(&metrics, metric, queue, more);
        assert_eq!(exported("queue_depth", ""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"in_flight\""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"dead\""), Some(failed - again), "{metrics}");
        assert_eq!(exported("messages_enqueued_total", ""), Some(added), "{metrics}");
        assert_eq!(exported("messages_processed_total", ",status=\"success\""), Some(done), "{metrics}");
    }
    let buried = counts.iter().map(|[_, _, failed, _]| failed).sum();
    assert_eq!(value(&metrics, "messages_dead_lettered_total"), Some(buried), "{metrics}");
}

/// Stops the server and starts it again while jobs flow: that is told once, and they flow again by themselves.
fn survives(server: &mut Server) {
    let (mut jobs, exporter) = (server.jobs(&["--speed=20"]), server.exporter());
    let healthy = |jobs: &Running| jobs.get("/healthy", &[]).status;
    let read = |metrics: &str| value(metrics, "queue_exporter_scrape_success") == Some(1.0);
    let done = |server: &Server, metrics: &str| {
        let (metric, more) = server.progress;
        QUEUES.map(|queue| server.exported(metrics, metric, queue, more))
    };
    let flow = |server: &Server, than: [Option<f64>; 3]| {
        let more = |metrics: &str| done(server, metrics).iter().zip(than).all(|(now, then)| *now > then);
        let metrics = exporter.scrape_until("jobs flow in every queue", |metrics| read(metrics) && more(metrics));
        done(server, &metrics)
    };
    let before = flow(server, [Some(0.0); 3]);
    assert_eq!(healthy(&jobs), 200);

    server.down();
    eventually("the loss is told", || jobs.log().contains("broker not connected").then_some(()));
    eventually("it is not healthy", || (healthy(&jobs) == 503).then_some(()));
    exporter.scrape_until("it is not read", |metrics| !read(metrics) && done(server, metrics) == [None; 3]);
    server.up();
    eventually("it is healthy again", || (healthy(&jobs) == 200).then_some(()));
    flow(server, before);

    jobs.signal("TERM");
    assert_eq!(jobs.wait(), Some(0), "{}", jobs.log());
    let log = jobs.log();
    let lines = |what| log.matches(what).count();
    assert_eq!((lines("broker not connected"), lines("msg=connected")), (1, 2), "one line for one loss: {log}");
    let counts = QUEUES.map(|queue| told(&log, "msg=stopped", queue).unwrap());
    assert!(counts.iter().all(|[added, ..]| *added > 0.0), "{log}");
    assert!(counts.iter().any(|[_, done, ..]| *done > 0.0), "{log}");
}

#[test]
fn a_nats_that_comes_and_goes_is_survived() {
    if let Some(mut server) = Server::nats() {
        survives(&mut server);
    }
}

#[test]
fn a_beanstalkd_that_comes_and_goes_is_survived() {
    if let Some(mut server) = Server::beanstalkd() {
        survives(&mut server);
    }
}

#[test]
fn a_server_that_is_no_nats_or_has_no_jetstream_is_told() {
    let (Some(beanstalkd), Some(program)) = (Server::beanstalkd(), real("nats-server")) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free());
    let line = format!("-a 127.0.0.1 -p {port}");
    let plain = Server::start(program, folder, &line, port, "nats", String::new());
    let jobs = plain.jobs(&[]);
    eventually("it is told", || jobs.log().contains("is JetStream enabled?").then_some(()));
    assert_eq!(jobs.get("/healthy", &[]).status, 503);

    let url = beanstalkd.jobs.replace("beanstalk", "nats");
    let jobs = Running::spawn(Command::new(DEMO).args(["jobs", "--url", &url, "--listen=127.0.0.1:0"]));
    eventually("it is told", || jobs.log().contains("broker not connected").then_some(()));
    for url in ["http://127.0.0.1:4222", "nats:", "nowhere"] {
        let output = run(DEMO, ["jobs", "--url", url]);
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = "nats://HOST:PORT or beanstalk://HOST:PORT";
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    }
}
