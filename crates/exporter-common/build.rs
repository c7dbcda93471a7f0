//! Passes the compiler's version and the git revision to the crate.
#![expect(clippy::disallowed_types, reason = "a build script asks rustc and git; the exporters run nothing")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=EXPORTER_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release {
        // a debug build does not need to be rebuilt for every commit
        println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    }
    let revision = std::env::var("EXPORTER_REVISION").ok().filter(|revision| !revision.is_empty());
    let revision = revision.or_else(|| release.then(|| output("git", &["rev-parse", "--short=12", "HEAD"]))?);
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version"]).and_then(|text| text.split(' ').nth(1).map(str::to_owned));
    println!("cargo::rustc-env=EXPORTER_REVISION={}", revision.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=EXPORTER_RUSTC={}", version.as_deref().unwrap_or("unknown"));
}

/// The output of a command, if it succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
