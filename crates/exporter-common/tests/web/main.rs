//! The HTTP server of a built exporter: web configuration, TLS, basic auth, reloads, listeners, limits.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

// the tests of demo, which share the folder everywhere, know the library by the name of its folder
extern crate scrapewright as exporter_common;

mod concurrent;
mod everywhere; // what holds for every exporter
mod landing;
mod limits;
mod listen;
mod trouble;
mod valid;

use everywhere::{client, pki};

/// The built example `drill-exporter`; cargo builds examples before it runs tests.
fn drill() -> String {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/drill-exporter").to_str().unwrap().to_owned()
}

/// The program that `everywhere` tests.
fn program(_: &str) -> (String, Vec<String>) {
    (drill(), vec!["--collector.fine".to_owned()])
}
