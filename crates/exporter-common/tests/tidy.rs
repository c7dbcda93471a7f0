//! Rules that hold for every file of the workspace.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn every_file_tells_its_story_in_its_first_line() {
    let mut files = Vec::new();
    sources(&workspace().join("crates"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with //!", file.display());
    }
}

#[test]
fn the_rust_version_is_the_same_in_both_places() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let toolchain = fs::read_to_string(workspace().join("rust-toolchain.toml")).unwrap();
    let version = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    assert_eq!(version(&toolchain, "channel"), version(&manifest, "rust-version") + ".0");
}

#[test]
fn the_complete_exporter_fits_on_a_screen() {
    let example = include_str!("../examples/hello-exporter.rs");
    assert!(example.lines().count() <= 30, "{}", example.lines().count());
}
