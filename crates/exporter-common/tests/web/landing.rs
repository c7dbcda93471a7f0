//! The page for people, as browsers get it.

use std::process::Command;

use exporter_common::testing::{self, Running};

use crate::drill;

#[test]
fn the_page_shows_collectors_and_metrics_and_allows_nothing_from_elsewhere() {
    let exporter = Running::start(&drill(), ["--collector.fine", "--collector.fail", "--collector.large"]);
    let page = exporter.get("/", &[]);
    let header = |name: &str| page.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=UTF-8");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for part in [
        "<li>fine succeeded: ",
        "<li class=\"failed\">fail failed: ",
        "drill_info<small class=\"type\">gauge</small><div>The drills that are on.</div>",
        "<td>drill=&quot;fine&quot;</td><td class=\"value\">1</td><td class=\"raw\">1</td>",
        "and 99800 more, see Metrics",
        "href=\"/metrics\"",
    ] {
        assert!(page.body.contains(part), "{part}\n{}", page.body);
    }
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.body.contains(outside), "{outside}");
    }
    assert!(page.body.len() < 1_000_000, "{} bytes", page.body.len());
}

#[test]
fn a_browser_runs_the_search_under_the_policy() {
    let Some(chromium) = testing::real("chromium") else { return };
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{}/#drill%20fine", exporter.url))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(dom.contains("<input type=\"search\""), "the script ran\n{dom}\n{log}");
    assert!(!log.contains("Content Security Policy"), "{log}");
    let shown = |name: &str| {
        let at = dom.find(&format!(">{name}<small")).unwrap();
        !dom[dom[..at].rfind("<tbody").unwrap()..at].starts_with("<tbody hidden")
    };
    assert!(shown("drill_info") && !shown("drill_exporter_build_info"), "{dom}");
}
