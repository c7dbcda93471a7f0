//! What holds for every exporter, through its built program. The tests of the library compile this for the drill
//! exporter, those of the demo for each of the four.

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

/// The program that this module is compiled for, and the flags without which it does not start.
fn program() -> (String, Vec<String>) {
    super::program(module_path!())
}

/// Runs it to its end.
fn run(arguments: &[&str]) -> Output {
    let (path, own) = program();
    let own = own.iter().map(String::as_str).filter(|_| arguments.first() != Some(&"healthcheck"));
    testing::run(&path, own.chain(arguments.iter().copied()))
}

/// Starts it with a configuration in the folder of the certificates.
pub(crate) fn start(pki: &Pki, config: &str) -> Running {
    start_with(pki, config, &[])
}

/// The same with more flags.
pub(crate) fn start_with(pki: &Pki, config: &str, arguments: &[&str]) -> Running {
    let file = format!("--web.config.file={}", pki.write("web.yml", config).display());
    let (path, own) = program();
    let own = own.iter().map(String::as_str);
    Running::start(&path, own.chain([&*file]).chain(arguments.iter().copied()))
}
