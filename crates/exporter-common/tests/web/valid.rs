//! What the library's own exporter says of configurations.

use exporter_common::testing::{self, Running};

use crate::drill;
use crate::pki::Pki;

#[test]
fn a_check_tells_faults_of_the_sources_and_of_the_web_configuration() {
    let pki = Pki::new();
    let file = format!("--web.config.file={}", pki.write("web.yml", "a: 1\n").display());
    let output = testing::run(&drill(), [&file, "--check", "--usage-error"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 2), "{said}");
    assert!(said.contains("field a not found") && said.contains("exclude each other"), "{said}");
}

#[test]
fn a_program_without_a_configuration_says_nothing_of_one() {
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    assert!(!exporter.scrape().contains("exporter_config_"));
}
