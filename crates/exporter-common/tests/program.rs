//! The library in a built exporter: flags, output and scrapes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use scrapewright::testing::{self, Running, assert_lint, value};

/// The built example `drill-exporter`; cargo builds examples before it runs tests.
fn drill() -> String {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/drill-exporter").to_str().unwrap().to_owned()
}

fn start(drills: &[&str]) -> Running {
    Running::start(&drill(), drills.iter().map(|name| format!("--collector.{name}")))
}

fn success(metrics: &str, collector: &str) -> Option<f64> {
    value(metrics, &format!("exporter_scrape_success{{collector=\"{collector}\"}}"))
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_failing_collector_affects_only_its_own_metrics() {
    let exporter = start(&["fine", "panic", "fail", "twice"]);
    for _ in 0..3 {
        let metrics = exporter.scrape();
        for (collector, expected) in [("fine", 1.0), ("panic", 0.0), ("fail", 0.0), ("twice", 1.0)] {
            assert_eq!(success(&metrics, collector), Some(expected), "{collector}\n{metrics}");
            let added = value(&metrics, &format!("drill_info{{drill=\"{collector}\"}}"));
            assert_eq!(added, Some(1.0), "families added before the failure are exported: {collector}");
        }
        assert_lint(&metrics);
    }
    assert_eq!(value(&exporter.scrape(), "exporter_duplicate_series_total"), Some(4.0));
    let log = exporter.log();
    let logged = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        logged(r#"level=WARN msg="collector failed" collector=fail error="the cheese is \"gone\"\nfor good""#),
        1
    );
    assert_eq!(logged(r#"msg="collector failed" collector=panic error="panicked: out of cheese""#), 1);
}

#[test]
fn a_scrape_respects_the_scrape_timeout_of_prometheus() {
    let exporter = start(&["fine", "sleep", "block"]);
    let started = Instant::now();
    let response = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert!(started.elapsed() < Duration::from_secs(3), "it waits for none that takes 3 s: {:?}", started.elapsed());
    assert_eq!(response.status, 200);
    for (collector, expected) in [("fine", 1.0), ("sleep", 0.0), ("block", 0.0)] {
        assert_eq!(success(&response.body, collector), Some(expected), "{collector}");
        assert_eq!(value(&response.body, &format!("drill_info{{drill=\"{collector}\"}}")), Some(1.0));
    }
}

#[test]
fn a_disconnecting_client_does_not_affect_others() {
    let exporter = start(&["sleep"]);
    let mut gone = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
    gone.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    drop(gone);
    assert_eq!(exporter.get("/-/healthy", &[]).status, 200);
    assert_eq!(success(&exporter.scrape(), "sleep"), Some(1.0));
}

#[test]
fn a_disconnecting_client_does_not_fail_the_scrape_of_another() {
    let exporter = start(&["linger"]);
    for _ in 0..20 {
        let mut gone = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
        gone.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        drop(gone);
        assert_eq!(success(&exporter.scrape(), "linger"), Some(1.0), "{}", exporter.log());
    }
    assert!(!exporter.log().contains("level=WARN"), "{}", exporter.log());
}

#[test]
fn scrapes_above_the_limit_wait_and_are_refused_after_their_timeout() {
    let exporter = Running::start(&drill(), ["--collector.sleep", "--web.max-requests=1"]);
    let mut first = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
    first.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let refused = testing::eventually("the first scrape is in progress", || {
        let response = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "0.02")]);
        (response.status == 503).then_some(response.body)
    });
    assert_eq!(refused, "Limit of concurrent requests reached (1), try again later.\n");
    assert_eq!(exporter.get("/-/healthy", &[]).status, 200);
    assert_eq!(exporter.get("/metrics", &[]).status, 200, "it waited for the first one");
    let mut response = String::new();
    first.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[test]
fn scrapes_are_refused_until_every_collector_is_ready() {
    let exporter = start(&["late"]);
    assert_eq!(exporter.get("/-/ready", &[]).status, 503);
    let refused = exporter.get("/metrics", &[]);
    assert_eq!((refused.status, refused.body.contains("Catching up")), (503, true));
    assert_eq!(success(&exporter.scrape(), "late"), Some(1.0));
}

#[test]
fn a_program_can_have_subcommands() {
    assert_eq!(testing::run(&drill(), ["practice"]).status.code(), Some(7));
    assert!(String::from_utf8(testing::run(&drill(), ["--help"]).stdout).unwrap().contains("practice"));
}

#[test]
fn shutdown_waits_for_the_scrape_in_progress() {
    let mut exporter = start(&["sleep"]);
    let mut scrape = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // the response on another connection shows that the first connection was accepted
    assert_eq!(exporter.get("/-/ready", &[]).status, 503);
    exporter.signal("TERM");
    let mut response = String::new();
    scrape.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("drill_info{drill=\"sleep\"} 1"), "{response}");
    assert_eq!(exporter.wait(), Some(0));
}

#[test]
fn the_exporter_is_ready_after_its_first_read_and_has_a_landing_page() {
    let exporter = start(&["fine"]);
    testing::eventually("it is ready", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let page = exporter.get("/", &[]);
    assert!(page.body.contains("<h1>drill-exporter</h1>") && page.body.contains("href=\"/metrics\""), "{}", page.body);
}

#[test]
fn responses_are_text_and_compressed_if_accepted() {
    let exporter = start(&["large"]);
    let plain = exporter.get("/metrics", &[("Accept-Encoding", "identity")]);
    let header = |response: &testing::HttpResponse, name| {
        response.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    assert_eq!(header(&plain, "content-type").as_deref(), Some(content_type));
    assert_eq!(header(&plain, "content-encoding"), None);
    assert_eq!(plain.body.lines().filter(|line| line.starts_with("drill_series{")).count(), 100_000);
    let small = exporter.get("/metrics", &[("Accept-Encoding", "gzip")]);
    let mut raw = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
    write!(raw, "GET /metrics HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n").unwrap();
    let mut compressed = Vec::new();
    raw.read_to_end(&mut compressed).unwrap();
    assert!(compressed.len() < plain.body.len() / 4, "{} bytes", compressed.len());
    assert!(String::from_utf8_lossy(&compressed).contains("\r\ncontent-encoding: gzip\r\n"));
    assert_eq!(testing::steady(&small.body), testing::steady(&plain.body));
}

#[test]
fn the_exporter_listens_on_every_address_and_at_another_path() {
    let exporter = Running::start(&drill(), ["--web.listen-address=localhost:0", "--web.telemetry-path=/m"]);
    let second = testing::eventually("both listen", || {
        let log = exporter.log();
        let mut addresses = log.lines().filter_map(|line| line.split("address=").nth(1));
        addresses.nth(1).map(|address| address.split(' ').next().unwrap().to_owned())
    });
    assert_eq!(testing::get(&format!("http://{second}/m"), &[]).status, 200);
    assert_eq!(exporter.get("/m", &[]).status, 200);
    assert_eq!(exporter.get("/metrics", &[]).status, 404);
}

#[test]
fn a_flag_overrides_its_variable_and_a_list_is_split_by_lines() {
    let mut command = testing::command(&drill());
    command.args(["--web.telemetry-path=/flag"]);
    command.env("DRILL_EXPORTER_WEB_TELEMETRY_PATH", "/variable");
    command.env("DRILL_EXPORTER_WEB_LISTEN_ADDRESS", "127.0.0.1:0\nlocalhost:0");
    command.env("DRILL_EXPORTER_COLLECTOR_FINE", "true");
    command.env("DRILL_EXPORTER_SCRAPE_TIMEOUT", "");
    let exporter = Running::spawn(&mut command);
    testing::eventually("both listen", || (exporter.log().matches("msg=listening").count() == 2).then_some(()));
    assert_eq!(success(&exporter.get("/flag", &[]).body, "fine"), Some(1.0));
}

#[test]
fn once_prints_the_metrics_and_its_status_shows_failures() {
    let good = testing::run(&drill(), ["--once", "--collector.fine"]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    let metrics = String::from_utf8(good.stdout).unwrap();
    assert_eq!(success(&metrics, "fine"), Some(1.0));
    let bad = testing::run(&drill(), ["--once", "--collector.fine", "--collector.fail"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("msg=\"collector failed\" collector=fail"), "{}", stderr(&bad));
}

#[test]
fn an_invalid_flag_is_a_one_line_error() {
    for (arguments, what) in [
        (
            &["--web.listen-adress=:1"][..],
            "unexpected argument '--web.listen-adress' found; a similar argument exists: '--web.listen-address'",
        ),
        (&["--scrape.timeout=5"], "'5' is not a duration: write 500ms, 5s, 1m or 1h30m"),
        (&["--scrape.timeout=0"], "must be longer than 0"),
        (&["--web.listen-address=9100"], "'9100' is not host:port, :port, [v6]:port or unix:/path"),
        (&["--web.max-requests=-1"], "'--web.max-requests <N>': expected a whole number; try"),
        (&["--web.max-requests", "-1"], "'--web.max-requests <N>': expected a whole number; try"),
        (&["--scrape.timeout", "-5s"], "'-5s' is not a duration: write 500ms, 5s, 1m or 1h30m"),
        (&["--web.config.file", "--once"], "a value is required for '--web.config.file <FILE>'"),
        (&["--collector.fine=maybe"], "expected true or false; try"),
        (&["--web.telemetry-path=metrics"], "a path must start with /"),
        (&["--log.level=loud"], "[possible values: error, warn, info, debug]"),
        (&["--web.listen-address=unix:relative"], "'unix:relative' is not unix:/path"),
        (&["surplus"], "unrecognized subcommand 'surplus'"),
        (&["--no-collector.nope"], "; unknown collector \"nope\": the collectors are fine, sleep, block, linger,"),
        (&["--collector.nope=1"], "; unknown collector \"nope\": the collectors are fine,"),
    ] {
        let output = testing::run(&drill(), arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("drill-exporter: error: ") && error.contains(what), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn arguments_that_are_not_utf8_and_conflicting_flags_are_usage_errors() {
    use std::os::unix::ffi::OsStrExt;

    let junk = std::ffi::OsStr::from_bytes(b"--scrape.timeout=\xff");
    for arguments in [vec![junk], vec!["--usage-error".as_ref()]] {
        let output = testing::run(&drill(), &arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("drill-exporter: error: ") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn an_error_names_the_variable_it_comes_from() {
    use std::os::unix::ffi::OsStrExt;

    for variable in ["SCRAPE_TIMEOUT", "LOG_LEVEL", "COLLECTOR_FINE"] {
        let variable = format!("DRILL_EXPORTER_{variable}");
        let output = testing::command(&drill()).env(&variable, "soon").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("(from {variable})")), "{}", stderr(&output));
    }
    let junk = std::ffi::OsStr::from_bytes(b"5s\xff");
    let output = testing::command(&drill()).env("DRILL_EXPORTER_SCRAPE_TIMEOUT", junk).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("UTF-8") && stderr(&output).contains("DRILL_EXPORTER_SCRAPE_TIMEOUT"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_port_in_use_is_a_one_line_error() {
    let exporter = start(&["fine"]);
    let address = exporter.url.strip_prefix("http://").unwrap();
    let output = testing::run(&drill(), [format!("--web.listen-address={address}")]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains(&format!("cannot listen on {address}: Address already in use")), "{error}");
    assert!(error.contains("--web.listen-address"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn check_and_help_and_version_succeed() {
    for (argument, what) in
        [("--check", ""), ("--help", "DRILL_EXPORTER_WEB_LISTEN_ADDRESS"), ("--version", "drill-exporter 1.0.0")]
    {
        let output = testing::run(&drill(), [argument]);
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(what), "{argument}");
    }
}

#[test]
fn the_healthcheck_queries_the_running_exporter() {
    let exporter = start(&["fine"]);
    let address = exporter.url.strip_prefix("http://").unwrap().to_owned();
    let check = |address: &str| testing::run(&drill(), ["healthcheck", "--web.listen-address", address]).status.code();
    assert_eq!(check(&address), Some(0));
    assert_eq!(check("127.0.0.1:1"), Some(1), "nothing listens there");
}

#[test]
fn sighup_does_not_stop_the_exporter() {
    let exporter = start(&["fine"]);
    exporter.signal("HUP");
    testing::eventually("it logs SIGHUP", || exporter.log().contains("SIGHUP").then_some(()));
    assert_eq!(exporter.get("/-/healthy", &[]).status, 200);
}

#[test]
fn logs_can_be_json() {
    let exporter = Running::start(&drill(), ["--collector.fine"]);
    drop(exporter);
    let output = testing::run(&drill(), ["--once", "--collector.fail", "--log.format=JSON", "--log.level=WARN"]);
    let line: serde_json::Value = serde_json::from_str(stderr(&output).trim()).unwrap();
    assert_eq!((&line["level"], &line["collector"]), (&"WARN".into(), &"fail".into()));
}

#[test]
fn the_reference_parser_accepts_openmetrics() {
    let exporter = start(&["fine", "panic"]);
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3";
    let response = exporter.get("/metrics", &[("Accept", accept)]);
    let content_type = response.headers.get("content-type").unwrap().to_str().unwrap();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8");
    assert!(
        response.body.contains("# TYPE drill_exporter_build info\n") && response.body.ends_with("# EOF\n"),
        "{}",
        response.body
    );
    testing::assert_openmetrics(&response.body);
}

#[test]
fn a_query_selects_collectors_and_families() {
    let exporter = start(&["fine", "fail"]);
    let chosen = exporter.get("/metrics?collect[]=fine", &[]).body;
    assert_eq!((success(&chosen, "fine"), success(&chosen, "fail")), (Some(1.0), None));
    let named = exporter.get("/metrics?name[]=drill_info", &[]).body;
    assert_eq!(named.lines().filter(|line| !line.starts_with('#')).count(), 2, "{named}");
    let refused = exporter.get("/metrics?exclude[]=nope", &[]);
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (400, "Collector \"nope\" is unknown or disabled; the enabled collectors are fine, fail.\n")
    );
    let nothing = exporter.get("/metrics?exclude[]=fine&exclude[]=fail", &[]).body;
    assert_eq!((success(&nothing, "fine"), success(&nothing, "fail")), (None, None));
}
