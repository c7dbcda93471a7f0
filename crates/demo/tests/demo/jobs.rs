//! `demo jobs` with real NATS and beanstalkd: its counts equal the metrics of queue-exporter, and it survives restarts.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exporter_common::testing::{Running, eventually, free_port, real, run, value};

use crate::DEMO;
use crate::broker::Ended;

const QUEUES: [&str; 3] = ["orders", "notifications", "analytics"];

/// A broker on its own ports.
struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    address: String,
    /// URLs for jobs and for the exporter.
    jobs: String,
    exporter: String,
    /// Labels of the exporter's series in addition to the queue name.
    scope: &'static str,
    /// Metric and labels that increase while jobs are processed.
    progress: (&'static str, &'static str),
    process: Option<Ended>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A NATS server whose streams survive a restart.
    fn nats() -> Option<Self> {
        let (program, folder, port, monitoring) =
            (real("nats-server")?, tempfile::tempdir().unwrap(), free_port(), free_port());
        let store = folder.path().display();
        let line = format!("-js -a 127.0.0.1 -p {port} -m {monitoring} -sd {store}");
        let exporter = format!("nats+http://127.0.0.1:{monitoring}");
        let mut server = Self::start(program, folder, &line, port, "nats", exporter);
        (server.scope, server.progress) = (",scope=\"workers\"", ("messages_delivered_total", ""));
        Some(server)
    }

    /// A beanstalkd without persistence.
    fn beanstalkd() -> Option<Self> {
        let (program, folder, port) = (real("beanstalkd")?, tempfile::tempdir().unwrap(), free_port());
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

    /// The exported value for a queue; `more` are additional labels.
    fn exported(&self, metrics: &str, metric: &str, queue: &str, more: &str) -> Option<f64> {
        value(metrics, &format!("{metric}{{queue_name=\"{queue}\"{}{more}}}", self.scope))
    }
}

/// The logged counts of a queue: added, done, failed, requeued; `None` until they are logged.
fn logged_counts(log: &str, what: &str, queue: &str) -> Option<[f64; 4]> {
    let line = log.lines().find(|line| line.contains(what) && line.contains(&format!("queue={queue} ")))?;
    let count = |name: &str| {
        let mut words = line.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
    };
    Some(["added", "done", "failed", "requeued"].map(count))
}

/// Processes `number` jobs in each queue. Returns the final metrics and the counts of each queue.
fn process_all(server: &Server, number: u32) -> (String, [[f64; 4]; 3], Running) {
    let jobs = server.jobs(&[&format!("--jobs={number}"), "--speed=1000"]);
    let counts = QUEUES.map(|queue| eventually("all jobs are done", || logged_counts(&jobs.log(), "all done", queue)));
    for [added, done, failed, requeued] in counts {
        assert_eq!((added, done + failed - requeued), (number.into(), number.into()));
    }
    assert!(counts.iter().any(|[_, _, failed, _]| *failed > 0.0), "some jobs fail: {counts:?}");
    let metrics = server
        .exporter()
        .scrape_until("all queues are read", |metrics| value(metrics, "queue_exporter_scrape_success") == Some(1.0));
    (metrics, counts, jobs)
}

#[test]
fn the_counts_of_nats_jobs_are_exported_exactly() {
    let Some(server) = Server::nats() else { return };
    let (metrics, _, _jobs) = process_all(&server, 200);
    for queue in QUEUES {
        let exported = |metric, more| server.exported(&metrics, metric, queue, more);
        assert_eq!(exported("queue_depth", ""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"in_flight\""), Some(0.0), "{metrics}");
        assert_eq!(exported("messages_delivered_total", ""), Some(200.0), "{metrics}");
        // NATS does not distinguish terminated from acknowledged messages.
        assert_eq!(exported("messages_processed_total", ",status=\"success\""), None, "{metrics}");
        let of_stream = |metric| value(&metrics, &format!("{metric}{{queue_name=\"{queue}\"}}"));
        assert_eq!(of_stream("messages_enqueued_total"), Some(200.0), "{metrics}");
        assert_eq!(of_stream("queue_message_bytes"), Some(0.0), "finished jobs are deleted: {metrics}");
    }
}

#[test]
fn the_counts_of_beanstalkd_jobs_are_exported_exactly() {
    let Some(server) = Server::beanstalkd() else { return };
    let (metrics, counts, _jobs) = process_all(&server, 1200);
    assert!(
        counts.iter().any(|[_, _, _, requeued]| *requeued > 0.0),
        "enough jobs fail for some to be kicked: {counts:?}"
    );
    for (queue, [added, done, failed, requeued]) in QUEUES.into_iter().zip(counts) {
        let exported = |metric, more| server.exported(&metrics, metric, queue, more);
        assert_eq!(exported("queue_depth", ""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"in_flight\""), Some(0.0), "{metrics}");
        assert_eq!(exported("queue_messages", ",state=\"dead\""), Some(failed - requeued), "{metrics}");
        assert_eq!(exported("messages_enqueued_total", ""), Some(added), "{metrics}");
        assert_eq!(exported("messages_processed_total", ",status=\"success\""), Some(done), "{metrics}");
    }
    let buried = counts.iter().map(|[_, _, failed, _]| failed).sum();
    assert_eq!(value(&metrics, "messages_dead_lettered_total"), Some(buried), "{metrics}");
}

/// Restarts the broker during processing: the loss is logged once, and processing continues.
fn assert_survives_restart(server: &mut Server) {
    let (mut jobs, exporter) = (server.jobs(&["--speed=20"]), server.exporter());
    let healthy = |jobs: &Running| jobs.get("/healthy", &[]).status;
    let read = |metrics: &str| value(metrics, "queue_exporter_scrape_success") == Some(1.0);
    let done = |server: &Server, metrics: &str| {
        let (metric, more) = server.progress;
        QUEUES.map(|queue| server.exported(metrics, metric, queue, more))
    };
    let wait_for_progress = |server: &Server, than: [Option<f64>; 3]| {
        let more = |metrics: &str| done(server, metrics).iter().zip(than).all(|(now, then)| *now > then);
        let metrics =
            exporter.scrape_until("jobs of every queue are processed", |metrics| read(metrics) && more(metrics));
        done(server, &metrics)
    };
    let before = wait_for_progress(server, [Some(0.0); 3]);
    assert_eq!(healthy(&jobs), 200);

    server.down();
    eventually("the lost connection is logged", || jobs.log().contains("broker not connected").then_some(()));
    eventually("demo jobs is unhealthy", || (healthy(&jobs) == 503).then_some(()));
    exporter.scrape_until("the exporter cannot read the broker", |metrics| {
        !read(metrics) && done(server, metrics) == [None; 3]
    });
    server.up();
    eventually("demo jobs is healthy again", || (healthy(&jobs) == 200).then_some(()));
    wait_for_progress(server, before);

    jobs.signal("TERM");
    assert_eq!(jobs.wait(), Some(0), "{}", jobs.log());
    let log = jobs.log();
    let lines = |what| log.matches(what).count();
    assert_eq!(
        (lines("broker not connected"), lines("msg=connected")),
        (1, 2),
        "one log line per lost connection: {log}"
    );
    let counts = QUEUES.map(|queue| logged_counts(&log, "msg=stopped", queue).unwrap());
    assert!(counts.iter().all(|[added, ..]| *added > 0.0), "{log}");
    assert!(counts.iter().any(|[_, done, ..]| *done > 0.0), "{log}");
}

#[test]
fn a_restart_of_nats_is_survived() {
    if let Some(mut server) = Server::nats() {
        assert_survives_restart(&mut server);
    }
}

#[test]
fn a_restart_of_beanstalkd_is_survived() {
    if let Some(mut server) = Server::beanstalkd() {
        assert_survives_restart(&mut server);
    }
}

#[test]
fn a_server_without_nats_or_jetstream_is_reported() {
    let (Some(beanstalkd), Some(program)) = (Server::beanstalkd(), real("nats-server")) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let line = format!("-a 127.0.0.1 -p {port}");
    let plain = Server::start(program, folder, &line, port, "nats", String::new());
    let jobs = plain.jobs(&[]);
    eventually("the missing JetStream is logged", || {
        jobs.log().contains("is JetStream enabled on this server?").then_some(())
    });
    assert_eq!(jobs.get("/healthy", &[]).status, 503);

    let url = beanstalkd.jobs.replace("beanstalk", "nats");
    let jobs = Running::spawn(Command::new(DEMO).args(["jobs", "--url", &url, "--listen=127.0.0.1:0"]));
    eventually("the failed connection is logged", || jobs.log().contains("broker not connected").then_some(()));
    for url in ["http://127.0.0.1:4222", "nats:", "nowhere"] {
        let output = run(DEMO, ["jobs", "--url", url]);
        let message = String::from_utf8(output.stderr).unwrap();
        let expected = "nats://HOST:PORT or beanstalk://HOST:PORT";
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    }
}
