//! Mappings of documents, with the built exporter: `--once --app.url file:… --config.file …`.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use exporter_common::testing::{assert_lint, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");
const MAPPINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mappings");

/// The documented mappings of well-known pages.
const KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json-mapping.yml");

/// Reads a page with these metrics, each given by its keys.
fn map(page: &str, metrics: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (document, config) = (folder.path().join("page.json"), folder.path().join("config.yml"));
    std::fs::write(&document, page).unwrap();
    let metrics: String = metrics.iter().map(|keys| format!("      - {{{keys}}}\n")).collect();
    std::fs::write(&config, format!("modules:\n  default:\n    metrics:\n{metrics}")).unwrap();
    Command::new(EXPORTER)
        .args(["--once", "--web.disable-exporter-metrics", "--scrape.timeout=20s"])
        .arg(format!("--app.url=file:{}", document.display()))
        .arg(format!("--config.file={}", config.display()))
        .output()
        .unwrap()
}

fn once(folder: &str, document: &str, module: &str) -> Output {
    once_with(&format!("{MAPPINGS}/{folder}/config.yml"), folder, document, module)
}

fn once_with(config: &str, folder: &str, document: &str, module: &str) -> Output {
    Command::new(EXPORTER)
        .args(["--once", "--web.disable-exporter-metrics"])
        .arg(format!("--app.url=file:{MAPPINGS}/{folder}/{document}"))
        .arg(format!("--config.file={config}"))
        .arg(format!("--config.module={module}"))
        .output()
        .unwrap()
}

/// The exposition without the families of the exporter itself.
fn mapped(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let own = ["exporter_", "app_status_"];
    let is_own = |line: &&str| {
        let name = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE ")).unwrap_or(line);
        own.iter().any(|start| name.starts_with(start))
    };
    text.lines().filter(|line| !is_own(line)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn configurations_of_json_exporter_have_the_same_exposition() {
    for (module, document, expected) in [
        ("default", "data.json", include_str!("mappings/json_exporter/default.txt")),
        ("animals", "animals.json", include_str!("mappings/json_exporter/animals.txt")),
        ("kinds", "data.json", include_str!("mappings/json_exporter/kinds.txt")),
    ] {
        let output = once("json_exporter", document, module);
        assert_eq!(mapped(&output), expected, "{module}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{module}");
    }
}

#[test]
fn well_known_pages_are_mapped_as_documented() {
    let config = std::fs::read_to_string(KNOWN).unwrap();
    let page = include_str!("../../../docs/json-mapping.md");
    let mut all = String::new();
    for (module, document) in [
        ("spring", "mappings/known/spring.json"),
        ("elasticsearch", "mappings/known/elasticsearch.json"),
        ("php-fpm", "mappings/known/php-fpm.json"),
        ("php-fpm-text", "pages/php-fpm-full.txt"),
        ("apache", "pages/apache.txt"),
        ("nginx-stub", "pages/nginx.txt"),
        ("haproxy", "pages/haproxy.csv"),
        ("nginx", "mappings/known/nginx.json"),
        ("node", "mappings/known/node.json"),
        ("pod", "mappings/known/pod.json"),
    ] {
        assert!(config.contains(&format!("  {module}:")) && page.contains(&format!("| `{module}` |")), "{module}");
        let output = once_with(KNOWN, "..", document, module);
        assert_eq!(output.status.code(), Some(0), "{module} {}", String::from_utf8_lossy(&output.stderr));
        assert_lint(&mapped(&output));
        all += &mapped(&output);
    }
    expect_test::expect_file![format!("{MAPPINGS}/known/expected.txt")].assert_eq(&all);
}

#[test]
fn a_page_in_another_format_is_an_error_that_names_it() {
    for (module, document, message) in [
        (
            "nginx-stub",
            "apache.txt",
            "the page is not nginx's stub_status: it has 36 lines instead of 4; it looks like \
                                      Apache's server-status?auto: set page_format: apache",
        ),
        ("apache", "classic.json", "it looks like JSON: set page_format: json"),
        ("pod", "haproxy.csv", "the page is not JSON: expected a value at line 1 column 1; it looks like HAProxy's"),
    ] {
        let output = once_with(KNOWN, "../pages", document, module);
        let metrics = String::from_utf8_lossy(&output.stdout);
        let reason = if module == "pod" { "not_json" } else { "wrong_format" };
        assert_eq!(
            value(&metrics, &format!("app_status_failures_total{{reason=\"{reason}\"}}")),
            Some(1.0),
            "{metrics}"
        );
        assert_eq!((mapped(&output), output.status.code()), (String::new(), Some(1)), "{module}");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains(message), "{module}: {log}");
    }
}

#[test]
fn the_members_of_newline_delimited_json_are_elements() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    let text = "modules:\n  default:\n    page_format: ndjson\n    metrics:\n      - {name: jobs, path: '{[*]}', \
                value: '{.jobs}', labels: {worker: '{.worker}'}}\n";
    std::fs::write(&config, text).unwrap();
    let output = once_with(config.to_str().unwrap(), "../pages", "workers.ndjson", "default");
    let metrics = mapped(&output);
    assert_eq!(value(&metrics, "jobs{worker=\"a\"}"), Some(3.0), "{metrics}");
    assert_eq!((value(&metrics, "jobs{worker=\"b\"}"), output.status.code()), (Some(0.0), Some(0)));
}

#[test]
fn spring_boot_reports_only_its_status_by_default() {
    let output = once_with(KNOWN, "known", "spring-plain.json", "spring");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = mapped(&output);
    assert_eq!(value(&text, "app_status{app_status=\"UP\"}"), Some(1.0));
    assert!(!text.contains("app_component_up{") && !text.contains("app_disk"), "{text}");
}

#[test]
fn a_label_that_is_missing_at_the_root_is_reported_with_a_hint() {
    let page = "{\"jobs\": [{\"id\": \"a\", \"n\": 1}]}";
    let log = |keys| {
        let output = map(page, &[keys]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, stderr) = log("name: jobs, path: '{.jobs[*].n}', labels: {id: '{.id}'}");
    assert!(
        code == Some(1)
            && stderr
                .contains("id is missing at the document's root: labels of a metric without elements are read there"),
        "{stderr}"
    );
    assert!(stderr.contains("path: '{.items[*]}' with value: '{.n}'"), "{stderr}");
    assert_eq!(log("name: jobs, path: '{.jobs[*]}', value: '{.n}', labels: {id: '{.id}'}").0, Some(0));
    let (_, stderr) = log("name: jobs, path: '{.jobs[*]}', value: '{.n}', labels: {id: '{.name}'}");
    assert!(stderr.contains("name is missing") && !stderr.contains("root"), "{stderr}");
}

#[test]
fn pages_that_users_of_json_exporter_posted_are_mapped() {
    let output = once("posted", "data.json", "default");
    let text = mapped(&output);
    expect_test::expect_file![format!("{MAPPINGS}/posted/expected.txt")].assert_eq(&text);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_lint(&text);
}

#[test]
fn requested_features_of_json_exporter_work() {
    let output = once("wishes", "data.json", "default");
    let text = mapped(&output);
    expect_test::expect_file![format!("{MAPPINGS}/wishes/expected.txt")].assert_eq(&text);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_lint(&text);
    let whole = String::from_utf8_lossy(&output.stdout);
    assert_eq!(value(&whole, "exporter_duplicate_series_total"), Some(1.0), "one duplicate endpoint");
}

#[test]
fn values_missing_in_many_elements_are_counted_and_logged_once() {
    let page = format!("{{\"jobs\": [{}0]}}", "0,".repeat(999));
    let output =
        map(&page, &["name: a, path: '{.jobs[*]}', value: '{.n}'", "name: b, path: '{.jobs[*]}', value: '{.}'"]);
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!(value(&metrics, "app_status_series_lost_total{metric=\"a\",reason=\"missing\"}"), Some(1000.0));
    assert_eq!(value(&metrics, "exporter_duplicate_series_total"), Some(999.0), "b has one series");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("a: n is missing (999 more of this kind)"), "{log}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn duplicate_series_are_logged_and_fail_the_read_unless_they_are_skipped() {
    let page = r#"{"jobs": [{"id": "x", "n": 1}, {"id": "x", "n": 2}, {"id": "x", "n": 3}, {"id": "y", "n": 4}]}"#;
    let jobs = "name: jobs, path: '{.jobs[*]}', value: '{.n}', labels: {id: '{.id}'}";
    let output = map(page, &[jobs]);
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!((value(&metrics, "jobs{id=\"x\"}"), value(&metrics, "jobs{id=\"y\"}")), (Some(1.0), Some(4.0)));
    assert_eq!(value(&metrics, "exporter_scrape_success{collector=\"app_status\"}"), Some(0.0));
    assert_eq!(value(&metrics, "app_status_series_lost_total{metric=\"jobs\",reason=\"duplicate\"}"), Some(2.0));
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("jobs: duplicate series jobs{id=\\\"x\\\"}: add a label"), "{log}");
    assert!(log.contains("(1 more of this kind)"), "{log}");
    let output = map(page, &[&format!("{jobs}, if_duplicate: skip")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let two = map(r#"{"a": 1}"#, &["name: a, path: '{.a}', labels: {x: y}", "name: a, path: '{.a}', labels: {x: y}"]);
    assert_eq!(two.status.code(), Some(1), "duplicates of two metrics");
}

#[test]
fn text_with_separators_is_a_number_if_they_are_configured() {
    let page = r#"{"a": "1,234.5", "b": "1.234,5 MB", "c": 2.5}"#;
    let output = map(
        page,
        &[
            "name: a, path: '{.a}', thousands_separator: ','",
            "name: b, path: '{.b}', format: quantity, decimal_separator: ',', thousands_separator: .",
            "name: c, path: '{.c}', decimal_separator: ','",
        ],
    );
    let metrics = String::from_utf8_lossy(&output.stdout);
    let values = ["a", "b", "c"].map(|name| value(&metrics, name));
    assert_eq!(values, [Some(1234.5), Some(1_234_500_000.0), Some(2.5)], "{metrics}");
    let output = map(page, &["name: a, path: '{.a}', format: quantity"]);
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!((value(&metrics, "a"), output.status.code()), (None, Some(1)));
    assert_eq!(value(&metrics, "app_status_series_lost_total{metric=\"a\",reason=\"invalid\"}"), Some(1.0));
}

#[test]
fn the_total_size_of_labels_is_limited() {
    let page = format!("{{\"site\": \"{}\", \"jobs\": [{}0]}}", "x".repeat(1 << 20), "0,".repeat(99));
    let output =
        map(&page, &["name: a, path: '{.jobs[*]}', value: '{.}', labels: {n: '{index}', site: '{root.site}'}"]);
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!(mapped(&output), "");
    assert_eq!(value(&metrics, "app_status_failures_total{reason=\"too_large\"}"), Some(1.0));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("the page has too many series, or too long labels"), "{log}");
}

#[test]
fn a_number_too_large_for_a_double_is_left_out() {
    let output = map("{\"a\": 1e309, \"b\": 1e308}", &["name: a, path: '{.a}'", "name: b, path: '{.b}'"]);
    assert_eq!(mapped(&output), "# HELP b b\n# TYPE b untyped\nb 1e+308\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("1e309"));
}

#[test]
fn a_label_that_searches_a_list_of_the_root_is_searched_once() {
    let users: String = (0..20_000).map(|n| format!("{{\"id\": {n}, \"n\": 1}},")).collect();
    let page = format!("{{\"users\": [{}], \"first\": 0}}", users.trim_end_matches(','));
    // with one search per element, this takes minutes instead of a second
    let labels = "{id: '{.id}', last: '{root.users[?(@.id == 19999)].id}', first: '{root.users[0].id}'}";
    let output = map(&page, &[&format!("name: users, path: '{{.users[*]}}', value: '{{.n}}', labels: {labels}")]);
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(value(&metrics, "users{first=\"0\",id=\"7\",last=\"19999\"}"), Some(1.0));
}
