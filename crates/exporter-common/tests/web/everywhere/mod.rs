//! Tests that every built exporter must pass. The library's tests run them with the drill
//! exporter, the demo's tests with each of the four exporters.

mod auth;
pub(crate) mod client;
mod clients;
mod http;
pub(crate) mod pki;
mod prometheus;
mod reload;
mod tls;
pub(crate) mod valid;

use std::process::Output;

use exporter_common::testing::{self, Running};

use pki::Pki;

/// The program to test, and its required flags.
fn program() -> (String, Vec<String>) {
    super::program(module_path!())
}

/// Runs the program until it exits.
fn run(arguments: &[&str]) -> Output {
    let (path, own) = program();
    let own = own.iter().map(String::as_str).filter(|_| arguments.first() != Some(&"healthcheck"));
    testing::run(&path, own.chain(arguments.iter().copied()))
}

/// Starts the program with a configuration in the folder of the certificates.
pub(crate) fn start(pki: &Pki, config: &str) -> Running {
    start_with(pki, config, &[])
}

/// As [`start`], with additional flags.
pub(crate) fn start_with(pki: &Pki, config: &str, arguments: &[&str]) -> Running {
    let file = format!("--web.config.file={}", pki.write("web.yml", config).display());
    let (path, own) = program();
    let own = own.iter().map(String::as_str);
    Running::start(&path, own.chain([&*file]).chain(arguments.iter().copied()))
}
