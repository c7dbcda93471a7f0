//! What the drill monitors: two hosts, three web servers, an application, a broker; and what can go wrong with each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use exporter_common::testing::{Running, eventually, real, run, value};

use super::hung::Hung;
use super::{Delivered, exporter, free, within};
use crate::broker::{Ended, RabbitMq};
use crate::{DEMO, part};

/// How often each web server is asked for a page that is good, and how often for one that is not.
const GOOD_EVERY: Duration = Duration::from_millis(20);
const BROKEN_EVERY: Duration = Duration::from_millis(500);
/// So many lines make a log busy, most of them since Prometheus looks: 0.1 a second over six hours, divided.
const LINES: f64 = 500.0;

pub(crate) struct Site {
    /// Its exporter will be killed.
    killed: Option<Running>,
    killed_at: String,
    /// Its exporter will be given a broken configuration.
    misconfigured: Running,
    web_config: PathBuf,
    /// Will answer with errors.
    failing: WebServer,
    _nginx: Ended,
    /// Will go on without its log, and then without its exporter, one of three.
    blind: WebServer,
    blind_at: String,
    log_moved_away: PathBuf,
    /// Will end.
    silent: WebServer,
    silent_server: Option<Running>,
    _blind_server: Running,
    /// Will hang, and then be without its exporter, the only one.
    application: Running,
    application_exporter: Option<Running>,
    application_at: String,
    /// Will have nobody who works.
    broker: RabbitMq,
    queue_exporter: Running,
    _producer: Running,
    consumer: Option<Running>,
    /// Will never have worked.
    hung: Option<Hung>,
    ab: PathBuf,
    visitors: Vec<Visitor>,
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

/// Somebody who asks a web server for a page again and again.
struct Visitor {
    leaves: Arc<AtomicBool>,
    visit: Option<JoinHandle<()>>,
}

impl Visitor {
    fn of(url: String, every: Duration) -> Self {
        let leaves = Arc::new(AtomicBool::new(false));
        let left = leaves.clone();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(1))).build().into();
        let visit = thread::spawn(move || {
            while !left.load(Ordering::Relaxed) {
                let _ = agent.get(&url).call(); // a server that is gone is what is tried
                thread::sleep(every);
            }
        });
        Self { leaves, visit: Some(visit) }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
        let _ = self.visit.take().map(JoinHandle::join);
    }
}

fn address(exporter: &Running) -> String {
    exporter.url.strip_prefix("http://").unwrap().to_owned()
}

/// nginx, with a page that is good and one that is broken. It is one process: workers would outlive a master that is killed.
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
        assert!(nginx.0.try_wait().unwrap().is_none(), "nginx has ended: {}", error());
        std::net::TcpStream::connect(listen).ok()
    });
    nginx
}

fn web_server(url: &str, log: &Path, format: &str) -> WebServer {
    WebServer { url: format!("{url}/"), log: log.to_owned(), exporter: Some(log_exporter("127.0.0.1:0", log, format)) }
}

fn log_exporter(listen: &str, log: &Path, format: &str) -> Running {
    let flags = [format!("--access-log={}", log.display()), format!("--access-log.format={format}")];
    exporter("httpd-log-exporter", listen, &flags.each_ref().map(String::as_str))
}

/// The exporter of the application at this URL.
fn page_exporter(listen: &str, application: &Running) -> Running {
    let page = format!("--app.url={}/status", application.url);
    exporter("app-status-exporter", listen, &[&page, "--poll.interval=500ms", "--scrape.timeout=1s"])
}

/// The exporter of a host that stands still: the one that tests run on may be busy, which would be told, too.
fn host(listen: &str, flags: &[&str]) -> Running {
    let fixture =
        |what: &str| format!("--path.{what}fs={}/../cpu-exporter/tests/fixtures/vm/{what}", env!("CARGO_MANIFEST_DIR"));
    exporter("cpu-exporter", listen, &[&[fixture("proc").as_str(), &fixture("sys")], flags].concat())
}

/// The demo's web server, at this URL.
fn web(url: &str, log: &Path) -> Running {
    let listen = url.trim_start_matches("http://").trim_end_matches('/');
    let mut command = exporter_common::testing::command(DEMO);
    command.arg("web").arg(format!("--listen={listen}")).arg(format!("--access-log={}", log.display()));
    Running::spawn(&mut command)
}

/// Who sends jobs to the broker, or works on them.
fn work(part: &str, broker: &RabbitMq) -> Running {
    crate::part(&[part, &format!("--broker={}", amqp(broker))])
}

/// The broker's URL, with a user.
fn amqp(broker: &RabbitMq) -> String {
    broker.amqp().replace("amqp://", "amqp://guest:guest@")
}

impl Site {
    /// Starts everything; `None` where a real program is missing.
    pub(crate) fn start() -> Option<Self> {
        let (program, ab) = (real("nginx")?, real("ab")?);
        let broker = RabbitMq::start()?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);

        let killed = host("127.0.0.1:0", &[]);
        let web_config = at("web.yml");
        std::fs::write(&web_config, "{}\n").unwrap();
        let misconfigured = host("127.0.0.1:0", &[&format!("--web.config.file={}", web_config.display())]);

        let listen = free();
        let _nginx = nginx(&program, folder.path(), &listen);
        let failing = web_server(&format!("http://{listen}"), &at("access.log"), "combined_time");
        let blind_server = web(&format!("http://{}/", free()), &at("blind.log"));
        let silent_server = web(&format!("http://{}/", free()), &at("silent.log"));
        let blind = web_server(&blind_server.url, &at("blind.log"), "combined");
        let silent = web_server(&silent_server.url, &at("silent.log"), "combined");

        let application = part(&["app", "--metrics-listen=127.0.0.1:0", "--success-rate=100"]);
        let application_exporter = page_exporter("127.0.0.1:0", &application);

        let url = broker.management("guest").replace("guest@", "guest:guest@");
        let flags = ["--queue.system=rabbitmq", &format!("--queue.url={url}")];
        let queue_exporter = exporter("queue-exporter", "127.0.0.1:0", &flags);
        let (producer, consumer) = (work("producer", &broker), work("consumer", &broker));

        let visitors = [&failing, &blind, &silent].map(|server| Visitor::of(server.url.clone(), GOOD_EVERY));
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
            visitors: visitors.into(),
            _folder: folder,
        })
    }

    /// Every exporter: its job, its address.
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

    /// Waits until jobs flow and every log has been read for a while.
    pub(crate) fn wait_until_all_is_well(&self) {
        let lines = |server: &WebServer| {
            let metrics = server.exporter().scrape();
            let series = format!("httpd_log_lines_total{{result=\"matched\",source=\"{}\"}}", server.log.display());
            value(&metrics, &series).unwrap_or_default()
        };
        let well = || {
            let queues = self.queue_exporter.scrape();
            let series = "messages_processed_total{queue_name=\"orders\",status=\"success\",vhost=\"/\"}";
            let flows = value(&queues, series).is_some_and(|count| count > 0.0);
            flows && [&self.failing, &self.blind, &self.silent].into_iter().all(|server| lines(server) > LINES)
        };
        within("all is well", well, || self.queue_exporter.scrape());
    }

    /// Breaks all of it, and tells what alerts are to come.
    pub(crate) fn break_everything(&mut self) -> Delivered {
        drop(self.killed.take());
        std::fs::write(&self.web_config, "tls_server_config: {cert_file\n").unwrap();
        self.misconfigured.signal("HUP");
        self.visitors.push(Visitor::of(format!("{}broken", self.failing.url), BROKEN_EVERY));
        std::fs::rename(&self.blind.log, &self.log_moved_away).unwrap(); // and nobody tells the server
        drop(self.silent_server.take());
        self.application.signal("STOP");
        drop(self.consumer.take());
        self.hung = Some(Hung::start(&amqp(&self.broker)));
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

    /// Takes the sight away of what is told: each alert, its instance, and what is to be told before it resolves.
    pub(crate) fn blind_two(&mut self) -> [((String, String), (String, String)); 2] {
        drop(self.blind.exporter.take());
        drop(self.application_exporter.take());
        let alert = |name: &str, instance: &str| (name.to_owned(), instance.to_owned());
        [
            (alert("HttpdLogBlind", &self.blind_at), alert("ExporterDown", &self.blind_at)),
            (alert("AppNotReporting", &self.application_at), alert("ExporterAbsent", "none")),
        ]
    }

    /// Repairs all of it.
    pub(crate) fn repair_everything(&mut self) {
        self.blind.exporter = Some(log_exporter(&self.blind_at, &self.blind.log, "combined"));
        self.application_exporter = Some(page_exporter(&self.application_at, &self.application));
        self.killed = Some(host(&self.killed_at, &[]));
        std::fs::write(&self.web_config, "{}\n").unwrap();
        self.misconfigured.signal("HUP");
        drop(self.visitors.pop());
        self.outweigh_errors();
        std::fs::rename(&self.log_moved_away, &self.blind.log).unwrap();
        self.silent_server = Some(web(&self.silent.url, &self.silent.log));
        self.application.signal("CONT");
        self.consumer = Some(work("consumer", &self.broker));
        self.hung.as_mut().unwrap().go_on();
    }

    /// Sends so many good requests that the errors are within the objective over every window.
    fn outweigh_errors(&self) {
        let errors =
            || value(&self.failing.exporter().scrape(), "httpd_requests_total{method=\"GET\",status_code=\"500\"}");
        let requests = (errors().unwrap() * 1500.0).to_string();
        let sent = run(self.ab.to_str().unwrap(), ["-q", "-k", "-c", "4", "-n", &requests, &self.failing.url]);
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
}
