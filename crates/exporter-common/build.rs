//! Passes the compiler's version to the crate. Cargo runs this again only if the compiler or this file changes.
#![expect(clippy::disallowed_types, reason = "a build script runs rustc; the exporters run nothing")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    println!("cargo::rustc-env=EXPORTER_RUSTC={}", text.split(' ').nth(1).unwrap_or("unknown"));
}
