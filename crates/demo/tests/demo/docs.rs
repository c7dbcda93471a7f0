//! docs/: the generated reference of metrics, the sections of each page, and links.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use expect_test::expect_file;
use exporter_common::testing::Running;
use regex::Regex;

use crate::{DEMO, part};

/// The exporters and the prefixes of their metrics.
const EXPORTERS: [(&str, &str); 4] = [
    ("cpu-exporter", "^cpu_exporter_"),
    ("httpd-log-exporter", "^httpd_"),
    ("app-status-exporter", "^app_"),
    ("queue-exporter", "^(queue|messages?)_"),
];

/// A log format with every supported field.
const LOG_FORMAT: &str = r#"$host $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_length $request_time $upstream_connect_time $upstream_header_time $upstream_response_time $upstream_cache_status"#;

/// HELP, type and labels of a metric.
#[derive(Default)]
struct Metric {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Metric>;

/// Adds the metrics of an exposition.
fn add_exposition(exposition: &str, metrics: &mut Metrics) {
    let label = Regex::new(r#"[{,]([a-z_]+)=""#).unwrap();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().help = help.replace("\\n", " ").replace('|', "\\|");
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let name = if metrics.contains_key(name) { name } else { stem.unwrap_or(name) };
            let labels = label.captures_iter(line).map(|found| found[1].to_owned()).filter(|label| label != "le");
            metrics.get_mut(name).unwrap_or_else(|| panic!("{line}")).labels.extend(labels);
        }
    }
}

/// Adds the golden files of a crate, except files of user-defined mappings.
fn golden(folder: &Path, metrics: &mut Metrics) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("mappings") {
            golden(&path, metrics);
        } else if path.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
            && text.starts_with("# HELP")
        {
            add_exposition(&text, metrics);
        }
    }
}

/// The command of an exporter in the demo's binary.
fn exporter(name: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(DEMO);
    command.arg0(name).args(arguments);
    command
}

/// Expositions with metrics missing in the golden files: build information, all log fields, an incomplete mapping, TLS.
fn live() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let line = r#"a.example 192.0.2.1 - - [20/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 2 0.5 0.1 0.2 0.3 HIT"#;
    let log = Running::spawn(&mut exporter(
        "httpd-log-exporter",
        &[
            "--web.listen-address=127.0.0.1:0".to_owned(),
            format!("--access-log={}", write("access.log", &format!("{line}\n"))),
            "--access-log=syslog+udp://127.0.0.1:0".to_owned(),
            "--access-log=syslog+tcp://127.0.0.1:0".to_owned(),
            format!("--access-log.format={LOG_FORMAT}"),
            format!("--state.file={}", folder.path().join("state").display()),
            "--access-log.start=beginning".to_owned(),
            "--metrics.route=root=^/$".to_owned(),
        ],
    ));
    write("other.json", "{}");
    let mapping = "modules: {default: {metrics: [{name: example, path: '{.missing}'}, \
                   {name: example_other, path: '{.missing}', url: other.json}]}}";
    let app = [
        "--once".to_owned(),
        format!("--app.url=file:{}", write("status.json", "{}")),
        format!("--config.file={}", write("mapping.yml", mapping)),
    ];
    let jobs = part(&["queue", "--no-producers"]);
    let url = format!("--queue.url={}/queues", jobs.url);
    let queue = ["--once", "--queue.include=.*", &url].map(str::to_owned);
    let server = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("server.crt", &server.cert.pem());
    write("server.key", &server.signing_key.serialize_pem());
    let web = write("web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key}");
    let cpu = [
        "--once".to_owned(),
        "--collector.time".to_owned(),
        "--collector.uname".to_owned(),
        "--collector.processes".to_owned(),
        format!("--web.config.file={web}"),
    ];
    let once = [("cpu-exporter", &cpu[..]), ("app-status-exporter", &app), ("queue-exporter", &queue)];
    let mut texts: Vec<_> = once
        .into_iter()
        .map(|(name, arguments)| String::from_utf8(exporter(name, arguments).output().unwrap().stdout).unwrap())
        .collect();
    texts.push(log.scrape_until("the line is counted", |metrics| metrics.contains("cache_status=\"HIT\"} 1")));
    texts
}

#[test]
fn the_reference_of_metrics_is_up_to_date() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Metrics::new();
    for (exporter, ..) in EXPORTERS {
        golden(&crates.join(exporter).join("tests"), &mut all);
    }
    for text in live() {
        add_exposition(&text, &mut all);
    }
    all.remove("example");
    all.remove("example_other");
    let mut page = "# Metrics\n\n\
        Every metric of every exporter, generated from their output (`UPDATE_EXPECT=1 cargo test -p demo --test demo docs`).\n\
        The exporters' own pages explain them, and [stability.md](stability.md) promises which names, types and labels stay. Types\n\
        are named as in the text format, in which an info and a state set are gauges. A label exists if its source provides it.\n\
        `process_virtual_memory_max_bytes` exists if the memory of the process is limited.\n"
        .to_owned();
    for (exporter, pattern) in EXPORTERS {
        let own = Regex::new(pattern).unwrap();
        let names: Vec<_> = all.keys().filter(|name| own.is_match(name)).cloned().collect();
        assert!(names.len() > 5, "{exporter}: {names:?}");
        write!(page, "\n## {exporter}\n\n").unwrap();
        table(names.into_iter().map(|name| all.remove_entry(&name).unwrap()), &mut page);
    }
    page += "\n## All of them\n\n";
    table(all.into_iter(), &mut page);
    expect_file![crates.parent().unwrap().join("docs/metrics.md")].assert_eq(&page);
}

fn table(metrics: impl Iterator<Item = (String, Metric)>, page: &mut String) {
    *page += "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for (name, Metric { help, kind, labels }) in metrics {
        assert!(!help.is_empty() && !kind.is_empty(), "{name}");
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
}

#[test]
fn every_exporter_page_has_the_common_sections_and_all_alerts() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    for (exporter, _) in EXPORTERS {
        let page = std::fs::read_to_string(repository.join(format!("docs/{exporter}.md"))).unwrap();
        for section in ["Install", "Flags", "Metrics", "Dashboard and alerts", "Troubleshooting"] {
            assert!(page.contains(&format!("\n## {section}\n")), "{exporter}: {section}");
        }
        let stem = exporter.strip_suffix("-exporter").unwrap();
        let rules = std::fs::read_to_string(repository.join(format!("prometheus/rules/{stem}.yml"))).unwrap();
        for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
            let linked = page.contains(&format!("[{alert}](runbooks/{alert}.md)"));
            assert!(linked || alert == "ExporterAbsent", "{exporter}: {alert}"); // common to all exporters
        }
    }
}

#[test]
fn every_relative_link_is_valid() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    let link = Regex::new(r"\]\(([^)#\s]*)(#[^)\s]*)?\)").unwrap();
    let mut pages: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(std::path::PathBuf::from).to_vec();
    for folder in ["docs", "docs/queue", "docs/runbooks", "fuzz"] {
        let files = std::fs::read_dir(repository.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        pages.extend(files.map(|file| Path::new(folder).join(file)));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    let mut followed = 0;
    for page in pages {
        let path = repository.join(&page);
        for found in link.captures_iter(&std::fs::read_to_string(&path).unwrap()) {
            if found[1].contains("://") {
                continue;
            }
            let to = if found[1].is_empty() { path.clone() } else { path.parent().unwrap().join(&found[1]) };
            assert!(to.exists(), "{}: {} does not exist", page.display(), &found[1]);
            if let Some(anchor) = found.get(2) {
                let text = std::fs::read_to_string(&to).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(anchor_of).any(|heading| heading == anchor.as_str());
                assert!(found, "{}: {} has no heading {}", page.display(), to.display(), anchor.as_str());
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed}");
}

/// The anchor of a heading: its words in lower case, joined by hyphens.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    "#".chars().chain(words.chars().filter(|sign| sign.is_alphanumeric() || "-_".contains(*sign))).collect()
}
