//! Alerts end to end: real faults, Prometheus with the repository's rules, Alertmanager, a webhook.
//!
//! All durations in rules and in Alertmanager's configuration are divided by 30. Expressions, limits, labels and texts
//! are unchanged.

mod hung_consumer; // a consumer that hangs
mod services; // the monitored services and their faults
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use exporter_common::testing::{Running, eventually, real};
use regex::{Captures, Regex};

use crate::broker::Ended;
use crate::dashboards::{RUNBOOKS, read, repository};
use services::Services;
use support::{Alerts, free, wait_for};

/// Divisor of all durations.
const SPEEDUP: u64 = 30;

/// Divides the durations of a configuration: ranges, intervals and waits.
fn speed_up(text: &str) -> String {
    let duration = Regex::new(r"(\[|for: |interval: |_wait: |_interval: |offset )(\d+)([smhd])\b").unwrap();
    let divided = |found: &Captures<'_>| {
        let unit = match &found[3] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            _ => 24 * 60 * 60,
        };
        format!("{}{}ms", &found[1], found[2].parse::<u64>().unwrap() * unit * 1000 / SPEEDUP)
    };
    duration.replace_all(text, divided).into_owned()
}

/// Prometheus, Alertmanager and the webhook that receives alerts.
struct Monitoring {
    webhook: Running,
    _alertmanager: Ended,
    _prometheus: Ended,
    folder: tempfile::TempDir,
}

impl Monitoring {
    /// Starts everything for targets given as job and address.
    fn start(prometheus: &Path, alertmanager: &Path, targets: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let mail = free();
        let webhook = crate::part(&["alerts", &format!("--mail-listen={mail}")]);
        let (manager, server) = (free(), free());
        let own = read("prometheus/alertmanager.yml");
        assert!(own.contains("http://alerts:8085/"));
        let own = own.replace("http://alerts:8085/", &format!("{}/", webhook.url)).replace("alerts:8025", &mail);
        file("alertmanager.yml", &speed_up(&own));
        file("templates/exporters.tmpl", &read("prometheus/templates/exporters.tmpl"));
        for entry in std::fs::read_dir(repository().join("prometheus/rules")).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("rules/{}", path.file_name().unwrap().to_str().unwrap());
            file(&name, &speed_up(&std::fs::read_to_string(&path).unwrap()));
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
                format!("--query.lookback-delta={}s", 5 * 60 / SPEEDUP),
                "--rules.alert.resend-delay=2s".to_owned(),
            ],
        );
        Self { webhook, _alertmanager, _prometheus, folder }
    }

    /// All alerts delivered so far with a status.
    fn delivered(&self, status: &str) -> Alerts {
        let log = self.webhook.log();
        let lines = log.lines().filter(|line| line.contains(&format!(" status={status} ")));
        let word = |line: &str, key: &str| {
            line.split(&format!(" {key}=")).nth(1).unwrap().split(' ').next().unwrap().trim_matches('"').to_owned()
        };
        let all = lines.map(|line| (word(line, "alertname"), word(line, "instance")));
        all.filter(|(alert, _)| alert != "Watchdog").collect()
    }

    /// Number of deliveries of the Watchdog alert.
    fn heartbeats(&self) -> usize {
        self.webhook.log().lines().filter(|line| line.contains(" alertname=Watchdog ")).count()
    }

    /// The logs, for the message of a failed test.
    fn logs(&self) -> String {
        let logs = ["prometheus", "prometheus-3", "alertmanager"].map(|name| self.folder.path().join(name));
        let logs: String = logs.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let faults: Vec<_> =
            logs.lines().filter(|line| line.contains("err=") || line.contains("level=ERROR")).collect();
        format!("{}\n{}", self.webhook.log(), faults.join("\n"))
    }
}

/// Injects all faults concurrently; exactly the expected alerts must fire and resolve.
fn drill(prometheus: &Path, alertmanager: &Path) {
    let Some(mut services) = Services::start() else { return };
    let monitoring = Monitoring::start(prometheus, alertmanager, &services.targets());
    services.wait_until_healthy();
    assert_eq!(monitoring.delivered("firing"), Alerts::new(), "no fault is injected yet: {}", monitoring.logs());

    let mut expected = services.inject_faults();
    wait_for(
        "exactly the expected alerts fire",
        || {
            let firing = monitoring.delivered("firing");
            assert!(firing.is_subset(&expected), "{:?}\n{}", firing.difference(&expected), monitoring.logs());
            firing == expected
        },
        || format!("{:?}\n{}", expected.difference(&monitoring.delivered("firing")), monitoring.logs()),
    );
    for line in monitoring.webhook.log().lines().filter(|line| line.contains(" status=firing ")) {
        let runbook = format!(" runbook={RUNBOOKS}");
        assert!(line.contains(&runbook) && line.contains(" dashboard=\"http://localhost:3000/d/exporters-"), "{line}");
    }
    // Critical alerts page, warnings are mailed, both with their links.
    for way in ["page", "mail"] {
        eventually(&format!("a {way} with links"), || {
            let log = monitoring.webhook.log();
            let mut lines = log.lines().filter(|line| line.contains(&format!(" msg={way} ")));
            lines
                .find(|line| line.contains("http://localhost:3000/d/exporters-") && line.contains(RUNBOOKS))
                .map(|_| ())
        });
    }

    // Two exporters stop too. Their alerts must resolve only after an alert about the exporter fires.
    let stopped = services.stop_two_exporters();
    expected.extend(stopped.iter().map(|(_, down)| down.clone()));
    for (alert, down) in &stopped {
        let resolved = || monitoring.delivered("resolved").contains(alert);
        let fires = || monitoring.delivered("firing").contains(down);
        wait_for("the alert about the exporter fires", || fires() || resolved(), || monitoring.logs());
        assert!(fires(), "{alert:?} resolved before {down:?} fired\n{}", monitoring.logs());
        wait_for("the alert of the stopped exporter resolves", resolved, || monitoring.logs());
    }
    assert_eq!(monitoring.delivered("firing"), expected, "{}", monitoring.logs());

    services.repair();
    wait_for(
        "all alerts resolve",
        || monitoring.delivered("resolved") == expected,
        || format!("{:?}\n{}", expected.difference(&monitoring.delivered("resolved")), monitoring.logs()),
    );
    assert_eq!(monitoring.delivered("firing"), expected, "{}", monitoring.logs());
    let before = monitoring.heartbeats();
    wait_for("the Watchdog alert is delivered again", || monitoring.heartbeats() > before, || monitoring.logs());
}

// One test, because both drills wait for minutes, in which other tests can run.
#[test]
fn faults_fire_exactly_their_alerts_in_prometheus_2_and_3() {
    let Some(alertmanager) = real("alertmanager") else { return };
    thread::scope(|scope| {
        for prometheus in ["prometheus", "prometheus-3"].into_iter().filter_map(real) {
            let alertmanager = &alertmanager;
            scope.spawn(move || drill(&prometheus, alertmanager));
        }
    });
}

#[test]
fn only_durations_are_divided() {
    let text = "rate(x[5m]) > 60\nfor: 15m\nlong: 1h\nrecord: a:b:rate5m\nlabels: {group_wait: 30s}";
    assert_eq!(
        speed_up(text),
        "rate(x[10000ms]) > 60\nfor: 30000ms\nlong: 1h\nrecord: a:b:rate5m\nlabels: {group_wait: 1000ms}"
    );
}
