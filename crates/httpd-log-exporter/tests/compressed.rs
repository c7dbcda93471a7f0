//! The built exporter with compressed logs: `--once` and `explain`.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use exporter_common::testing::{run, value};
use flate2::Compression;
use flate2::write::GzEncoder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const LINE: &str = "192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The exit status, the requests and the errors of a source that is read once.
fn once(sources: &[&Path]) -> (Option<i32>, f64, String) {
    let flags = sources.iter().map(|source| format!("--access-log={}", source.display()));
    let output = run(PROGRAM, ["--once".to_owned()].into_iter().chain(flags));
    let metrics = String::from_utf8(output.stdout).unwrap();
    let requests = value(&metrics, r#"httpd_requests_total{method="GET",status_code="200"}"#).unwrap_or_default();
    (output.status.code(), requests, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn once_counts_compressed_logs_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // several members, as written by `gzip >>`
    fs::write(path("access.log.2.gz"), [gzip(&LINE.repeat(3)), gzip(&LINE.repeat(4))].concat()).unwrap();
    // without the extension, and with a last line that has no end
    fs::write(path("archive"), gzip(&LINE.repeat(2)[..2 * LINE.len() - 1])).unwrap();
    for (name, expected) in [("access.log.2.gz", 7.0), ("archive", 2.0)] {
        assert_eq!(once(&[&path(name)]), (Some(0), expected, String::new()), "{name}");
    }
    fs::write(path("access.log"), LINE).unwrap();
    fs::write(path("access.log.1"), LINE.repeat(10)).unwrap();
    fs::write(path("access.log.1.gz"), &gzip(&LINE.repeat(10))[..30]).unwrap(); // being compressed
    fs::hard_link(path("access.log.2.gz"), path("access.log.old.gz")).unwrap();
    assert_eq!(once(&[&path("access.log*")]), (Some(0), 18.0, String::new()));
    assert_eq!(once(&[&path("access.log.2*"), &path("**/*.old.gz")]).1, 7.0);
    assert_eq!(once(&[&path("access.log.2.gz"), &path("access.log")]).1, 8.0);
    // a name without the extension that is another log, or no log
    fs::write(path("access.log.2"), LINE).unwrap();
    fs::create_dir(path("site")).unwrap();
    fs::write(path("site.gz"), gzip(LINE)).unwrap();
    assert_eq!(once(&[&path("access.log.2.*")]).1, 7.0);
    assert_eq!(once(&[&path("s*")]).1, 1.0);
}

#[test]
fn standard_input_may_be_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.gz");
    fs::write(&path, gzip(&LINE.repeat(3))).unwrap();
    let output = Command::new(PROGRAM)
        .args(["--once", "--access-log=-"])
        .stdin(Stdio::from(File::open(path).unwrap()))
        .output()
        .unwrap();
    let metrics = String::from_utf8(output.stdout).unwrap();
    assert_eq!(value(&metrics, r#"httpd_requests_total{method="GET",status_code="200"}"#), Some(3.0), "{metrics}");
}

#[test]
fn a_log_that_cannot_be_decompressed_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = gzip(&LINE.repeat(3));
    fs::write(path("cut.gz"), &whole[..whole.len() - 4]).unwrap();
    fs::write(path("log.zst"), b"\x28\xb5\x2f\xfd\x04\x00").unwrap();
    fs::write(path("log.1"), LINE).unwrap();
    let (status, requests, message) = once(&[&path("cut.gz")]);
    assert_eq!((status, requests), (Some(1), 3.0), "the lines before the error count");
    assert!(message.contains("cannot read") && message.contains("cut.gz: "), "{message}");
    let expected = "log.zst: its compression is not supported: decompress it with zstd -d";
    for (source, requests) in [("log.zst", 0.0), ("log*", 1.0)] {
        let (status, found, message) = once(&[&path(source)]);
        assert_eq!((status, found), (Some(1), requests), "{source}");
        assert!(message.contains(expected), "{source}: {message}");
    }
    let explain = run(PROGRAM, ["explain", path("log.zst").to_str().unwrap()]);
    assert!(String::from_utf8(explain.stderr).unwrap().contains(expected));
}

#[test]
fn a_compressed_log_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log.1.gz");
    fs::write(&log, gzip(LINE)).unwrap();
    for flag in ["--check", "--web.listen-address=127.0.0.1:0"] {
        let output = run(PROGRAM, [flag, &format!("--access-log={}", log.display())]);
        let expected = format!("--access-log {} is compressed: count it with --once", log.display());
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(&expected));
    }
}

#[test]
fn explain_reads_compressed_logs_from_files_and_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log.1.gz");
    fs::write(&log, gzip(&LINE.repeat(30_000))).unwrap();
    let from_file = run(PROGRAM, ["explain", log.to_str().unwrap()]);
    let mut command = Command::new(PROGRAM);
    command.args(["explain", "-"]).stdin(File::open(&log).unwrap()).stdout(Stdio::piped());
    for output in [from_file, command.output().unwrap()] {
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.starts_with("format combined: 10000 of 10000 lines match\n"), "{text}");
    }
}
