//! The whole way of an alert: real faults, real Prometheus with the repository's rules, real Alertmanager, a webhook.
//!
//! Rules wait for minutes. Here every duration in a copy of them is a thirtieth, and so are those of Alertmanager;
//! the expressions, limits, labels and texts are the repository's own.

mod hung; // a consumer that never did anything
mod site; // what is monitored, and how it is broken

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use exporter_common::testing::{Running, real};
use regex::{Captures, Regex};

use crate::DEMO;
use crate::broker::Ended;
use crate::dashboards::{read, repository};
use site::Site;

/// What durations are divided by.
const FASTER: u64 = 30;
/// How long a fault may take to be told, or its end: many times what it takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration with its durations divided: those in ranges, and those after keys that wait.
fn faster(text: &str) -> String {
    let duration = Regex::new(r"(\[|for: |interval: |_wait: |_interval: |offset )(\d+)([smhd])\b").unwrap();
    let divided = |found: &Captures<'_>| {
        let unit = match &found[3] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            _ => 24 * 60 * 60,
        };
        format!("{}{}ms", &found[1], found[2].parse::<u64>().unwrap() * unit * 1000 / FASTER)
    };
    duration.replace_all(text, divided).into_owned()
}

/// An address that is free now.
fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits for a condition, and tells what there is when it does not come.
fn within(what: &str, mut fulfilled: impl FnMut() -> bool, there_is: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !fulfilled() {
        assert!(Instant::now() < deadline, "still not: {what}\n{}", there_is());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Prometheus and Alertmanager, and what arrives at the end.
struct Watch {
    webhook: Running,
    _alertmanager: Ended,
    _prometheus: Ended,
    folder: tempfile::TempDir,
}

/// An alert that was delivered: its name, and the instance that it is of.
type Delivered = BTreeSet<(String, String)>;

impl Watch {
    /// Starts both for the targets, each a job and an address.
    fn start(prometheus: &Path, alertmanager: &Path, targets: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let webhook = crate::part(&["alerts"]);
        let (manager, server) = (free(), free());
        let own = read("prometheus/alertmanager.yml");
        assert!(own.contains("http://alerts:8085/"));
        file("alertmanager.yml", &faster(&own).replace("http://alerts:8085/", &format!("{}/", webhook.url)));
        for entry in std::fs::read_dir(repository().join("prometheus/rules")).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("rules/{}", path.file_name().unwrap().to_str().unwrap());
            file(&name, &faster(&std::fs::read_to_string(&path).unwrap()));
        }
        let mut config = format!(
            "global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}}\nrule_files: [rules/*.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{manager}']}}]}}]}}\nscrape_configs:\n"
        );
        let own = [("prometheus", server.clone()), ("alertmanager", manager.clone())];
        let targets: Vec<_> = targets.iter().chain(&own).collect();
        let jobs: BTreeSet<_> = targets.iter().map(|(job, _)| *job).collect();
        for job in jobs {
            let addresses: Vec<_> =
                targets.iter().filter(|(of, _)| *of == job).map(|(_, address)| format!("'{address}'")).collect();
            config += &format!("  - {{job_name: {job}, static_configs: [{{targets: [{}]}}]}}\n", addresses.join(", "));
        }
        file("prometheus.yml", &config);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let spawn = |program: &Path, arguments: &[String]| {
            let log = std::fs::File::create(at(program.file_name().unwrap().to_str().unwrap())).unwrap();
            let mut command = Command::new(program);
            Ended(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
        };
        let _alertmanager = spawn(
            alertmanager,
            &[
                format!("--config.file={}", at("alertmanager.yml")),
                format!("--storage.path={}", at("alerts")),
                format!("--web.listen-address={manager}"),
                "--cluster.listen-address=".to_owned(),
            ],
        );
        let _prometheus = spawn(
            prometheus,
            &[
                format!("--config.file={}", at("prometheus.yml")),
                format!("--storage.tsdb.path={}", at("data")),
                format!("--web.listen-address={server}"),
                format!("--query.lookback-delta={}s", 5 * 60 / FASTER),
                "--rules.alert.resend-delay=2s".to_owned(),
            ],
        );
        Self { webhook, _alertmanager, _prometheus, folder }
    }

    /// What was delivered with this status, ever.
    fn delivered(&self, status: &str) -> Delivered {
        let log = self.webhook.log();
        let lines = log.lines().filter(|line| line.contains(&format!(" status={status} ")));
        let word = |line: &str, key: &str| {
            line.split(&format!(" {key}=")).nth(1).unwrap().split(' ').next().unwrap().trim_matches('"').to_owned()
        };
        let all = lines.map(|line| (word(line, "alertname"), word(line, "instance")));
        all.filter(|(alert, _)| alert != "Watchdog").collect()
    }

    /// How often it was told that the way of an alert is open.
    fn heartbeats(&self) -> usize {
        self.webhook.log().lines().filter(|line| line.contains(" alertname=Watchdog ")).count()
    }

    /// All that is known of what goes on, for a test that fails.
    fn story(&self) -> String {
        let logs = ["prometheus", "prometheus-3", "alertmanager"].map(|name| self.folder.path().join(name));
        let logs: String = logs.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let faults: Vec<_> =
            logs.lines().filter(|line| line.contains("err=") || line.contains("level=ERROR")).collect();
        format!("{}\n{}", self.webhook.log(), faults.join("\n"))
    }
}

/// Breaks everything at once, each at another instance; exactly the alerts that are meant come, and go.
fn drill(prometheus: &str) {
    let (Some(prometheus), Some(alertmanager)) = (real(prometheus), real("alertmanager")) else { return };
    let Some(mut site) = Site::start() else { return };
    let watch = Watch::start(&prometheus, &alertmanager, &site.targets());
    site.wait_until_all_is_well();
    assert_eq!(watch.delivered("firing"), Delivered::new(), "nothing is broken yet: {}", watch.story());

    let mut expected = site.break_everything();
    within(
        "exactly what is broken is told",
        || {
            let told = watch.delivered("firing");
            assert!(told.is_subset(&expected), "{:?}\n{}", told.difference(&expected), watch.story());
            told == expected
        },
        || format!("{:?}\n{}", expected.difference(&watch.delivered("firing")), watch.story()),
    );
    for line in watch.webhook.log().lines().filter(|line| line.contains(" status=firing ")) {
        assert!(line.contains(" runbook=docs/runbooks/") && line.contains(" dashboard=\"/d/exporters-"), "{line}");
    }

    // the exporters of two go too: what was told of them resolves, and not before it is told that nobody sees them
    let blinded = site.blind_two();
    expected.extend(blinded.iter().map(|(_, blind)| blind.clone()));
    for (alert, blind) in &blinded {
        let resolved = || watch.delivered("resolved").contains(alert);
        let told = || watch.delivered("firing").contains(blind);
        within("it is told that nobody sees it", || told() || resolved(), || watch.story());
        assert!(told(), "{alert:?} resolved for want of sight\n{}", watch.story());
        within("what cannot be seen resolves", resolved, || watch.story());
    }
    assert_eq!(watch.delivered("firing"), expected, "{}", watch.story());

    site.repair_everything();
    within(
        "all of it is over",
        || watch.delivered("resolved") == expected,
        || format!("{:?}\n{}", expected.difference(&watch.delivered("resolved")), watch.story()),
    );
    assert_eq!(watch.delivered("firing"), expected, "{}", watch.story());
    let before = watch.heartbeats();
    within("it is told again that alerts are delivered", || watch.heartbeats() > before, || watch.story());
}

#[test]
fn prometheus_2_tells_exactly_what_is_broken_and_when_it_is_over() {
    drill("prometheus");
}

#[test]
fn prometheus_3_tells_exactly_what_is_broken_and_when_it_is_over() {
    drill("prometheus-3");
}

#[test]
fn durations_are_divided_and_nothing_else() {
    let text = "rate(x[5m]) > 60\nfor: 15m\nlong: 1h\nrecord: a:b:rate5m\nlabels: {group_wait: 30s}";
    assert_eq!(
        faster(text),
        "rate(x[10000ms]) > 60\nfor: 30000ms\nlong: 1h\nrecord: a:b:rate5m\nlabels: {group_wait: 1000ms}"
    );
}

/// The exporter of this name, which is the demo called by it.
fn exporter(name: &str, listen: &str, flags: &[&str]) -> Running {
    let mut command = exporter_common::testing::command(DEMO);
    Running::spawn(command.arg0(name).arg(format!("--web.listen-address={listen}")).args(flags))
}
