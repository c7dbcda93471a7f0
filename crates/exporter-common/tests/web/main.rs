//! The web side through a built exporter: the configuration file, TLS, logins, reloads, listeners, limits.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

mod auth;
mod client;
mod landing;
mod limits;
mod listen;
mod pki;
mod prometheus;
mod reload;
mod tls;
mod valid;

use exporter_common::testing::Running;

/// The built example `drill-exporter`; cargo builds examples before it runs tests.
fn drill() -> String {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/drill-exporter").to_str().unwrap().to_owned()
}

/// Starts the drill exporter with a configuration in the folder of the certificates.
fn start(pki: &pki::Pki, config: &str) -> Running {
    start_with(pki, config, &[])
}

fn start_with(pki: &pki::Pki, config: &str, arguments: &[&str]) -> Running {
    let file = pki.write("web.yml", config);
    let mut all = vec![format!("--web.config.file={}", file.display()), "--collector.fine".to_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Running::start(&drill(), all)
}
