//! What mappings give for documents, through the built exporter: `--once --app.url file:… --config.file …`.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use exporter_common::testing::{assert_lint, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");
const MAPPINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mappings");

fn once(folder: &str, document: &str, module: &str) -> Output {
    Command::new(EXPORTER)
        .args(["--once", "--web.disable-exporter-metrics"])
        .arg(format!("--app.url=file:{MAPPINGS}/{folder}/{document}"))
        .arg(format!("--config.file={MAPPINGS}/{folder}/config.yml"))
        .arg(format!("--config.module={module}"))
        .output()
        .unwrap()
}

/// The exposition without the exporter's own families.
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
fn configurations_of_json_exporter_give_its_exposition() {
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
fn pages_that_many_know_are_mapped_as_the_documentation_has_it() {
    let config = include_str!("mappings/known/config.yml");
    assert!(include_str!("../../../docs/app-status-exporter.md").contains(config), "the documentation has another");
    let mut all = String::new();
    for module in ["spring", "elasticsearch", "php-fpm", "nginx", "node", "pod"] {
        assert!(config.contains(&format!("  {module}:")));
        let output = once("known", &format!("{module}.json"), module);
        assert_eq!(output.status.code(), Some(0), "{module} {}", String::from_utf8_lossy(&output.stderr));
        assert_lint(&mapped(&output));
        all += &mapped(&output);
    }
    expect_test::expect_file![format!("{MAPPINGS}/known/expected.txt")].assert_eq(&all);
}

#[test]
fn what_users_of_json_exporter_posted_is_mapped() {
    let output = once("posted", "data.json", "default");
    let text = mapped(&output);
    expect_test::expect_file![format!("{MAPPINGS}/posted/expected.txt")].assert_eq(&text);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_lint(&text);
}

#[test]
fn what_users_of_json_exporter_asked_for_is_given() {
    let output = once("wishes", "data.json", "default");
    let text = mapped(&output);
    expect_test::expect_file![format!("{MAPPINGS}/wishes/expected.txt")].assert_eq(&text);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_lint(&text);
    let whole = String::from_utf8_lossy(&output.stdout);
    assert_eq!(value(&whole, "exporter_duplicate_series_total"), Some(1.0), "one endpoint is there twice");
}
