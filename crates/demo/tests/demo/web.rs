//! `demo web`: its access log matches the responses.

use std::path::Path;

use exporter_common::testing::{Running, eventually, real, run};

use crate::{ab_value, part, request};

fn web(log: &Path, rotate_at: &str) -> Running {
    part(&["web", "--access-log", log.to_str().unwrap(), "--rotate-at", rotate_at])
}

/// Method, path, status and bytes of every line, after the expected number of lines is written.
fn lines(log: &Path, expected: usize) -> Vec<(String, String, u16, usize)> {
    let text = eventually("all lines are written", || {
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.lines().count() <= expected, "{text}");
        (text.lines().count() == expected).then_some(text)
    });
    let fields = |line: &str| {
        let (request, numbers) = (line.split('"').nth(1)?, line.split('"').nth(2)?);
        let (mut request, mut numbers) = (request.split(' '), numbers.split_whitespace());
        let target = (request.next()?.to_owned(), request.next()?.to_owned());
        Some((target.0, target.1, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    text.lines().map(|line| fields(line).unwrap()).collect()
}

#[test]
fn each_request_is_logged_with_its_status_and_size() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let web = web(&log, "0");
    let requests = [
        ("GET", "/"),
        ("HEAD", "/products"),
        ("GET", "/products?page=2"),
        ("POST", "/orders"),
        ("GET", "/old"),
        ("DELETE", "/"),
        ("GET", "/nothing"),
        ("GET", "/broken"),
    ];
    let responses = requests.map(|(method, path)| (method, path, request(&web.url, method, path)));
    for (line, (method, path, (status, body))) in lines(&log, requests.len()).iter().zip(responses) {
        assert_eq!(*line, (method.to_owned(), path.to_owned(), status, body.len()));
    }
}

#[test]
fn the_log_matches_the_counts_of_ab() {
    let Some(ab) = real("ab") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let mut web = web(&log, "0");
    let output = run(ab.to_str().unwrap(), ["-n", "3000", "-c", "8", "-k", "-q", &format!("{}/products", web.url)]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(ab_value(&report, "Complete requests"), 3000.0, "{report}");
    web.signal("TERM");
    assert_eq!(web.wait(), Some(0));
    let lines = lines(&log, 3000);
    assert!(lines.iter().all(|line| line.2 == 200));
    let bytes: usize = lines.iter().map(|line| line.3).sum();
    assert_eq!(bytes as f64, ab_value(&report, "HTML transferred"));
}

#[test]
fn a_log_above_the_size_limit_is_rotated_without_losing_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let web = web(&log, "1500");
    for _ in 0..25 {
        request(&web.url, "GET", "/");
    }
    let old = folder.path().join("access.log.1");
    eventually("all lines are in one of the two files", || {
        let count = |path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
        (count(&old) > 0 && count(&old) + count(&log) == 25).then_some(())
    });
}
