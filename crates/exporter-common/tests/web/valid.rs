//! Checks of configurations with the library's own exporter.

use std::process::Command;

use exporter_common::testing::{self, Running};

use crate::drill;
use crate::pki::{Pki, TLS};

#[test]
fn a_check_reports_errors_of_the_sources_and_of_the_web_configuration() {
    let pki = Pki::new();
    let file = format!("--web.config.file={}", pki.write("web.yml", "a: 1\n").display());
    let output = testing::run(&drill(), [&file, "--check", "--usage-error"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 2), "{error}");
    assert!(error.contains("unknown key a in the file") && error.contains("exclude each other"), "{error}");
}

#[test]
fn a_program_without_a_configuration_exports_no_reload_status() {
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    assert!(!exporter.scrape().contains("exporter_config_"));
}

#[test]
fn promtool_agrees_on_every_configuration() {
    use crate::everywhere::valid::{accepted_by_all, refused_at_the_start, refused_by_all};

    let pki = Pki::new();
    let text = |cases: Vec<(String, &str)>| cases.into_iter().map(|(config, _)| config).collect::<Vec<_>>();
    for program in ["promtool", "promtool-3"] {
        let Some(promtool) = testing::real(program) else { continue };
        let accepts = |config: &String| {
            let file = pki.write("web.yml", config);
            let output = Command::new(&promtool).args(["check", "web-config"]).arg(file).output().unwrap();
            output.status.success()
        };
        let wrong = |cases: Vec<String>, accepted| {
            cases.into_iter().filter(|config| accepts(config) != accepted).collect::<Vec<_>>()
        };
        assert_eq!(wrong(text(refused_by_all()), false), [""; 0], "{program} accepts it");
        assert_eq!(wrong(text(refused_at_the_start()), true), [""; 0], "{program} refuses it");
        assert_eq!(wrong(accepted_by_all(), true), [""; 0], "{program} refuses it");
        // keys of later versions of exporter-toolkit, which exporters accept
        let inline = format!("{TLS}  client_auth_type: RequestClientCert\n  client_ca: garbage\n");
        let later =
            ["rate_limit: {interval: 1s, burst: 5}\n".to_owned(), "rate_limit: {burst: 5}\n".to_owned(), inline];
        assert_eq!(later.iter().map(accepts).collect::<Vec<_>>(), [program == "promtool-3"; 3], "{program}");
        for config in later {
            let file = format!("--web.config.file={}", pki.write("web.yml", &config).display());
            assert!(testing::run(&drill(), [&file, "--check"]).status.success(), "{config}");
        }
    }
}

#[test]
fn a_fifo_is_rejected_and_does_not_block() {
    let pki = Pki::new();
    let fifo = pki.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let client_ca = format!("{TLS}  client_auth_type: RequestClientCert\n  client_ca_file: fifo\n");
    for file in [
        fifo,
        pki.write("cert.yml", "tls_server_config: {cert_file: fifo, key_file: server.key}"),
        pki.write("key.yml", "tls_server_config: {cert_file: server.crt, key_file: fifo}"),
        pki.write("client_ca.yml", &client_ca),
    ] {
        let file = format!("--web.config.file={}", file.display());
        for flags in [&[&*file, "--check"][..], &[&*file, "--web.listen-address=127.0.0.1:0"]] {
            let output = testing::run(&drill(), flags);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains("not a regular file"), "{stderr}");
        }
    }
}
