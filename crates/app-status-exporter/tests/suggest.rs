//! The subcommand `suggest`: its configurations are accepted, and export the page from which they were made.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest")]
mod app;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use app::{App, response};
use exporter_common::testing::{eventually, run, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");
const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

fn suggest(url: &str, flags: &[&str]) -> Output {
    run(EXPORTER, ["suggest", url].iter().chain(flags))
}

/// The configuration for a page.
fn suggested(url: &str, flags: &[&str]) -> String {
    let output = suggest(url, flags);
    assert_eq!(output.status.code(), Some(0), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The pages in a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "yml" && kind != "md");
    files
        .filter(is_page)
        .filter(|path| !path.to_str().unwrap().contains("mappings/") || path.extension().unwrap() == "json")
        .collect()
}

#[test]
fn every_page_gets_a_configuration_that_exports_it() {
    let folders = ["pages", "mappings/known", "mappings/posted", "mappings/wishes", "mappings/json_exporter"];
    let pages: Vec<_> = folders.iter().flat_map(|folder| pages(&Path::new(TESTS).join(folder))).collect();
    assert!(pages.len() > 15, "{pages:?}");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    for page in pages {
        let url = format!("file:{}", page.display());
        let configuration = suggested(&url, &[]);
        std::fs::write(&config, &configuration).unwrap();
        let file = format!("--config.file={}", config.display());
        let checked = run(EXPORTER, ["--check", &file]);
        assert_eq!(checked.status.code(), Some(0), "{url}: {}", String::from_utf8_lossy(&checked.stderr));
        let exported = run(EXPORTER, ["--once", &file, &format!("--app.url={url}")]);
        let (metrics, log) = (String::from_utf8_lossy(&exported.stdout), String::from_utf8_lossy(&exported.stderr));
        assert_eq!(exported.status.code(), Some(0), "{url}: {log}{configuration}");
        assert_eq!(value(&metrics, "exporter_scrape_success{collector=\"app_status\"}"), Some(1.0));
        let names = configuration.lines().filter_map(|line| line.trim().strip_prefix("- {name: ")?.split(',').next());
        for name in names {
            let has_type = metrics.contains(&format!("# TYPE {name} "));
            assert!(has_type, "{url}: {name} has no series in {metrics}");
        }
    }
}

#[test]
fn types_units_labels_and_states_are_suggested_with_their_reason() {
    let configuration = suggested(&format!("file:{TESTS}/pages/classic.json"), &["--prefix=shop"]);
    for part in [
        "  default:\n    metrics:\n",
        "      # .total_uptime is the number 123456.5: an uptime, assumed to be in seconds; a gauge, because of its name\n",
        "- {name: shop_total_uptime_seconds, help: 'From total_uptime of the status page.', path: '{.total_uptime}', \
         valuetype: gauge}\n",
        "valuetype: stateset, states: ['healthy', 'unhealthy']}\n",
        "- {name: shop_workers_busy, help: 'From workers.busy of the status page.', path: '{.workers[*]}', \
         value: '{.busy}', valuetype: gauge, labels: {id: '{.id}'}",
    ] {
        assert!(configuration.contains(part), "{part} not in {configuration}");
    }
    let configuration = suggested(&format!("file:{TESTS}/pages/haproxy.csv"), &[]);
    assert!(configuration.contains("    page_format: haproxy\n"), "{configuration}");
    assert!(configuration.contains("labels: {pxname: '{.pxname}', svname: '{.svname}'}"), "{configuration}");
}

#[test]
fn what_cannot_be_guessed_is_a_comment_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.json");
    let many = vec!["{\"n\": 1}"; 101].join(", ");
    let text = format!(
        "{{\"n\": 1, \"later\": null, \"empty\": [], \"tags\": [\"a\"], \"status\": \"so-so\", \"a'b\": 1, \"many\": [{many}]}}"
    );
    std::fs::write(&page, text).unwrap();
    let configuration = suggested(&format!("file:{}", page.display()), &[]);
    for comment in [
        "# .later: null: its type is unknown\n",
        "# .empty: the list is empty\n",
        "# .tags: a list of texts\n",
        "# .status is the string \"so-so\": a state whose other values are unknown",
        "the key \"a'b\" has special characters\n",
        "# .many: 101 elements, and as many series",
    ] {
        assert!(configuration.contains(comment), "{comment} not in {configuration}");
    }
    assert_eq!(configuration.matches("- {name: ").count(), 1, "{configuration}");
}

#[test]
fn a_second_read_tells_counters_from_gauges() {
    let app = App::start(response("200 OK", r#"{"things": 3, "level": 3, "jobs": [{"id": "a", "seen": 1}]}"#));
    thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the page is read", || (app.requests().len() == 1).then_some(()));
            app.set(response("200 OK", r#"{"things": 4, "level": 2, "jobs": [{"id": "a", "seen": 2}]}"#));
        });
        let configuration = suggested(&app.url(), &["--second-read=1s"]);
        for part in [
            "# .things is the number 3: a counter, because it rose\n      - {name: app_things_total, ",
            "# .level is the number 3: a gauge, because it fell\n      - {name: app_level, ",
            "- {name: app_jobs_seen_total, ",
        ] {
            assert!(configuration.contains(part), "{part} not in {configuration}");
        }
    });
}

#[test]
fn the_request_settings_of_a_configuration_are_used() {
    let app = App::start(response("200 OK", "{\"n\": 1}"));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    std::fs::write(&config, "modules: {shop: {headers: {X-Key: secret}}}").unwrap();
    let file = format!("--config.file={}", config.display());
    let configuration = suggested(&app.url(), &[&file, "--config.module=shop"]);
    assert!(configuration.contains("# copy the request settings of "), "{configuration}");
    assert!(!configuration.contains("secret"), "{configuration}");
    assert!(app.requests()[0].to_lowercase().contains("x-key: secret\r\n"), "{:?}", app.requests());
}

#[test]
fn a_page_without_values_or_without_a_known_format_is_an_error() {
    let app = App::start(response("200 OK", "{\"later\": null}"));
    let output = suggest(&app.url(), &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("the page has no value for a metric: # .later: null: its type is unknown"), "{log}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    app.set(response("200 OK", "<html>"));
    let output = suggest(&app.url(), &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("cannot suggest a configuration") && log.contains("it looks like HTML or XML"), "{log}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(suggest("nonsense", &[]).status.code(), Some(2));
}
