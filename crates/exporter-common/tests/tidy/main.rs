//! Rules for all files of the workspace: first lines, lengths of files and functions, imports, and plain English.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod english;
mod function_length;
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// The limit of lines in a file.
const MAX_LINES: usize = 500;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Folders that builds make: their files are not ours.
const BUILT: &[&str] = &["target", "node_modules"];

/// The files below a folder with one of these extensions. Files without extension have the extension "".
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !BUILT.contains(&&*name) {
            found.extend(files(&path, extensions));
        } else if extensions.iter().any(|extension| path.extension().unwrap_or_default() == *extension) {
            found.push(path);
        }
    }
    found
}

/// A path relative to the workspace.
fn name(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_file_describes_itself_in_its_first_line() {
    let files = files(&workspace().join("crates"), &["rs"]);
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not start with //!", file.display());
    }
}

#[test]
fn files_are_short() {
    for file in files(&workspace().join("crates"), &["rs"]) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", name(&file));
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
fn the_example_of_an_exporter_fits_on_a_screen() {
    let example = include_str!("../../examples/hello-exporter.rs");
    assert!(example.lines().count() <= 30, "{}", example.lines().count());
}
