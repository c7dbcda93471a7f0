//! The services monitored in the drill (two hosts, three web servers, an application, a broker) and their faults.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use exporter_common::testing::{Running, eventually, real, run, value};

use super::hung_consumer::HungConsumer;
use super::support::{Alerts, exporter, free, wait_for};
use crate::broker::{Ended, RabbitMq};
use crate::{DEMO, part};

/// Intervals of requests for a valid and for a broken page.
const GOOD_EVERY: Duration = Duration::from_millis(20);
const BROKEN_EVERY: Duration = Duration::from_millis(500);
/// Number of lines for a log to count as busy in the alerts: 0.1 per second over six hours, divided by the speedup.
const BUSY_LINES: f64 = 500.0;

pub(crate) struct Services {
    /// Fault: the exporter is killed.
    killed: Option<Running>,
    killed_at: String,
    /// Fault: the exporter reloads an invalid configuration.
    misconfigured: Running,
    web_config: PathBuf,
    /// Fault: the server returns errors.
    failing: WebServer,
    _nginx: Ended,
    /// Fault: the log disappears, then one of the three exporters of this job stops.
    blind: WebServer,
    blind_at: String,
    log_moved_away: PathBuf,
    /// Fault: the server stops.
    silent: WebServer,
    silent_server: Option<Running>,
    _blind_server: Running,
    /// Fault: the application hangs, then the only exporter of this job stops.
    application: Running,
    application_exporter: Option<Running>,
    application_at: String,
    /// Fault: the consumer stops.
    broker: RabbitMq,
    queue_exporter: Running,
    _producer: Running,
    consumer: Option<Running>,
    /// Fault: a consumer hangs from the start.
    hung: Option<HungConsumer>,
    ab: PathBuf,
    clients: Vec<WebClient>,
    _folder: tempfile::TempDir,
}

/// A web server's log and its exporter.
struct WebServer {
    url: String,
    log: PathBuf,
    exporter: Option<Running>,
}

impl WebServer {
    fn exporter(&self) -> &Running {
        self.exporter.as_ref().unwrap()
    }
}

/// A client that requests a page repeatedly.
struct WebClient {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WebClient {
    fn start(url: String, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(1))).build().into();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = agent.get(&url).call(); // the server may be stopped on purpose
                thread::sleep(every);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for WebClient {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn address(exporter: &Running) -> String {
    exporter.url.strip_prefix("http://").unwrap().to_owned()
}

/// Starts nginx with a valid and a broken page. It runs as one process, since workers would survive a killed master.
fn nginx(program: &Path, folder: &Path, listen: &str) -> Ended {
    let at = folder.display();
    let configuration = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
         events {{ worker_connections 64; }}
         http {{
             log_format combined_time '$remote_addr - $remote_user [$time_local] \"$request\" $status '
                 '$body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time';
             access_log {at}/access.log combined_time;
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
             keepalive_requests 1000000;
             server {{
                 listen {listen};
                 location / {{ return 200 \"good\"; }}
                 location /broken {{ return 500 \"broken\"; }}
             }}
         }}"
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log"));
    let mut nginx = Ended(command.stdin(Stdio::null()).spawn().unwrap());
    eventually("nginx listens", || {
        let error = || std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
        assert!(nginx.0.try_wait().unwrap().is_none(), "nginx exited: {}", error());
        std::net::TcpStream::connect(listen).ok()
    });
    nginx
}

fn web_server(url: &str, log: &Path, format: &str) -> WebServer {
    WebServer { url: format!("{url}/"), log: log.to_owned(), exporter: Some(log_exporter(&free(), log, format)) }
}

fn log_exporter(listen: &str, log: &Path, format: &str) -> Running {
    let flags = [format!("--access-log={}", log.display()), format!("--access-log.format={format}")];
    exporter("httpd-log-exporter", listen, &flags.each_ref().map(String::as_str))
}

/// Starts the exporter of the application.
fn page_exporter(listen: &str, application: &Running) -> Running {
    let page = format!("--app.url={}/status", application.url);
    exporter("app-status-exporter", listen, &[&page, "--poll.interval=500ms", "--scrape.timeout=1s"])
}

/// Starts a cpu-exporter on fixtures: alerts would fire if this host is busy.
fn host(listen: &str, flags: &[&str]) -> Running {
    let fixture =
        |what: &str| format!("--path.{what}fs={}/../cpu-exporter/tests/fixtures/vm/{what}", env!("CARGO_MANIFEST_DIR"));
    exporter("cpu-exporter", listen, &[&[fixture("proc").as_str(), &fixture("sys")], flags].concat())
}

/// Starts the demo's web server.
fn web(url: &str, log: &Path) -> Running {
    let listen = url.trim_start_matches("http://").trim_end_matches('/');
    let mut command = exporter_common::testing::command(DEMO);
    command.arg("web").arg(format!("--listen={listen}")).arg(format!("--access-log={}", log.display()));
    Running::spawn(&mut command)
}

/// Starts a producer or consumer.
fn job_part(part: &str, broker: &RabbitMq) -> Running {
    crate::part(&[part, &format!("--broker={}", amqp(broker))])
}

/// The broker's URL, with a user.
fn amqp(broker: &RabbitMq) -> String {
    broker.amqp().replace("amqp://", "amqp://guest:guest@")
}

impl Services {
    /// Starts all services; `None` if a program is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (program, ab) = (real("nginx")?, real("ab")?);
        let broker = RabbitMq::start()?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);

        let killed = host(&free(), &[]);
        let web_config = at("web.yml");
        std::fs::write(&web_config, "{}\n").unwrap();
        let misconfigured = host(&free(), &[&format!("--web.config.file={}", web_config.display())]);

        let listen = free();
        let _nginx = nginx(&program, folder.path(), &listen);
        let failing = web_server(&format!("http://{listen}"), &at("access.log"), "combined_time");
        let blind_server = web(&format!("http://{}/", free()), &at("blind.log"));
        let silent_server = web(&format!("http://{}/", free()), &at("silent.log"));
        let blind = web_server(&blind_server.url, &at("blind.log"), "combined");
        let silent = web_server(&silent_server.url, &at("silent.log"), "combined");

        let application = part(&["app", "--metrics-listen=127.0.0.1:0", "--success-rate=100"]);
        let application_exporter = page_exporter(&free(), &application);

        let url = broker.management("guest").replace("guest@", "guest:guest@");
        let flags = ["--queue.system=rabbitmq", &format!("--queue.url={url}")];
        let queue_exporter = exporter("queue-exporter", "127.0.0.1:0", &flags);
        let (producer, consumer) = (job_part("producer", &broker), job_part("consumer", &broker));

        let clients = [&failing, &blind, &silent].map(|server| WebClient::start(server.url.clone(), GOOD_EVERY));
        Some(Self {
            killed_at: address(&killed),
            killed: Some(killed),
            misconfigured,
            web_config,
            failing,
            _nginx,
            blind_at: address(blind.exporter()),
            blind,
            log_moved_away: at("blind.log.1"),
            silent,
            silent_server: Some(silent_server),
            _blind_server: blind_server,
            application,
            application_at: address(&application_exporter),
            application_exporter: Some(application_exporter),
            broker,
            queue_exporter,
            _producer: producer,
            consumer: Some(consumer),
            hung: None,
            ab,
            clients: clients.into(),
            _folder: folder,
        })
    }

    /// Job and address of every exporter.
    pub(crate) fn targets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cpu-exporter", self.killed_at.clone()),
            ("cpu-exporter", address(&self.misconfigured)),
            ("httpd-log-exporter", address(self.failing.exporter())),
            ("httpd-log-exporter", self.blind_at.clone()),
            ("httpd-log-exporter", address(self.silent.exporter())),
            ("app-status-exporter", self.application_at.clone()),
            ("queue-exporter", address(&self.queue_exporter)),
        ]
    }

    /// Waits until jobs are processed and every log is busy.
    pub(crate) fn wait_until_healthy(&self) {
        let lines = |server: &WebServer| {
            let metrics = server.exporter().scrape();
            let series = format!("httpd_log_lines_total{{result=\"matched\",source=\"{}\"}}", server.log.display());
            value(&metrics, &series).unwrap_or_default()
        };
        let healthy = || {
            let queues = self.queue_exporter.scrape();
            let series = "messages_processed_total{queue_name=\"orders\",status=\"success\",vhost=\"/\"}";
            let processes_jobs = value(&queues, series).is_some_and(|count| count > 0.0);
            processes_jobs
                && [&self.failing, &self.blind, &self.silent].into_iter().all(|server| lines(server) > BUSY_LINES)
        };
        wait_for("all services are healthy", healthy, || self.queue_exporter.scrape());
    }

    /// Injects all faults and returns the expected alerts.
    pub(crate) fn inject_faults(&mut self) -> Alerts {
        drop(self.killed.take());
        std::fs::write(&self.web_config, "tls_server_config: {cert_file\n").unwrap();
        self.misconfigured.signal("HUP");
        self.clients.push(WebClient::start(format!("{}broken", self.failing.url), BROKEN_EVERY));
        std::fs::rename(&self.blind.log, &self.log_moved_away).unwrap(); // the server keeps writing to the renamed file
        drop(self.silent_server.take());
        self.application.signal("STOP");
        drop(self.consumer.take());
        self.hung = Some(HungConsumer::start(&amqp(&self.broker)));
        let queues = address(&self.queue_exporter);
        [
            ("ExporterDown", self.killed_at.clone()),
            ("ExporterConfigReloadFailed", address(&self.misconfigured)),
            ("HttpdErrorBudgetBurn", "all".to_owned()),
            ("HttpdLogBlind", self.blind_at.clone()),
            ("HttpdLogSilent", address(self.silent.exporter())),
            ("AppNotReporting", self.application_at.clone()),
            ("QueueWithoutConsumers", queues.clone()),
            ("QueueStalled", queues),
        ]
        .map(|(alert, instance)| (alert.to_owned(), instance))
        .into()
    }

    /// Stops two exporters. Returns their alerts, each with the alert that must fire before it resolves.
    pub(crate) fn stop_two_exporters(&mut self) -> [((String, String), (String, String)); 2] {
        drop(self.blind.exporter.take());
        drop(self.application_exporter.take());
        let alert = |name: &str, instance: &str| (name.to_owned(), instance.to_owned());
        [
            (alert("HttpdLogBlind", &self.blind_at), alert("ExporterDown", &self.blind_at)),
            (alert("AppNotReporting", &self.application_at), alert("ExporterAbsent", "none")),
        ]
    }

    /// Repairs all faults.
    pub(crate) fn repair(&mut self) {
        self.blind.exporter = Some(log_exporter(&self.blind_at, &self.blind.log, "combined"));
        self.application_exporter = Some(page_exporter(&self.application_at, &self.application));
        self.killed = Some(host(&self.killed_at, &[]));
        std::fs::write(&self.web_config, "{}\n").unwrap();
        self.misconfigured.signal("HUP");
        drop(self.clients.pop());
        self.outweigh_errors();
        std::fs::rename(&self.log_moved_away, &self.blind.log).unwrap();
        self.silent_server = Some(web(&self.silent.url, &self.silent.log));
        self.application.signal("CONT");
        self.consumer = Some(job_part("consumer", &self.broker));
        self.hung.as_mut().unwrap().resume();
    }

    /// Sends enough successful requests to bring the error ratio below the objective in every window.
    fn outweigh_errors(&self) {
        let errors =
            || value(&self.failing.exporter().scrape(), "httpd_requests_total{method=\"GET\",status_code=\"500\"}");
        let requests = (errors().unwrap() * 1500.0).to_string();
        let sent = run(self.ab.to_str().unwrap(), ["-q", "-k", "-c", "4", "-n", &requests, &self.failing.url]);
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
}
