//! Tests of configurations of prometheus-nginxlog-exporter: the flag `--config.file`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Output;

use exporter_common::testing::{Running, assert_has, assert_openmetrics, command, eventually, free_port, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
/// A format with every field that is counted.
const FORMAT: &str = r#"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_length $request_time $upstream_connect_time $upstream_response_time"#;

/// A line in that format.
fn line(request: &str, status: &str, numbers: &str) -> String {
    let (bytes, times) = numbers.split_once(' ').unwrap();
    format!(
        "192.0.2.7 - jane [20/Nov/2026:09:26:10 +0000] \"{request}\" {status} {bytes} \"-\" \"curl/8.14.1\" {times}\n"
    )
}

/// A folder with a configuration, in which `LOGS` is the folder and `FORMAT` the format.
struct Setup {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Setup {
    fn new(name: &str, config: &str, logs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let logs_folder = folder.path().display().to_string();
        fs::write(&path, config.replace("LOGS", &logs_folder).replace("FORMAT", FORMAT)).unwrap();
        for (name, content) in logs {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self { config: path, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flag(&self) -> String {
        format!("--config.file={}", self.config.display())
    }

    fn run(&self, more: &[&str]) -> Output {
        run(PROGRAM, [&[&*self.flag()], more].concat())
    }

    /// The metrics of the whole logs.
    fn once(&self) -> String {
        let output = self.run(&["--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The error of one line that the program writes.
    fn error(&self, more: &[&str]) -> String {
        let output = self.run(&[&["--check"], more].concat());
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

const HCL: &str = r#"
listen {
  port = 4040
}

namespace "shop" {
  source = {
    files = ["LOGS/access.log"]
  }
  format = "FORMAT"

  labels {
    environment = "production"
    app = "shop"
  }

  relabel "user" {
    from = "remote_user"
    whitelist = ["joe"]
  }

  relabel "request_uri" {
    from = "request"
    split = 2
    only_counter = true

    match "^/users/[0-9]+" {
      replacement = "/users/:id"
    }
    match "^/(img|css)/.*" {
      replacement = "/$1"
    }
  }

  histogram_buckets = [.005, .5, 2.5]
}
"#;

const YAML: &str = r#"
listen:
  port: 4040

namespaces:
  - name: shop
    source:
      files:
        - LOGS/access.log
    format: "FORMAT"
    labels:
      environment: production
      app: shop
    relabel_configs:
      - target_label: user
        from: remote_user
        whitelist: [joe]
      - target_label: request_uri
        from: request
        split: 2
        only_counter: true
        matches:
          - regexp: "^/users/[0-9]+"
            replacement: "/users/:id"
          - regexp: "^/(img|css)/.*"
            replacement: "/$1"
    histogram_buckets: [.005, .5, 2.5]
"#;

/// Three requests, one without an upstream server, and a line that does not match the format.
fn log() -> String {
    line("GET /users/7/cart HTTP/1.1", "200", "11 300 0.010 0.001 0.009")
        + &line("GET /img/a.png HTTP/1.1", "200", "5 200 0.000 - -")
        + &line("BREW /pot HTTP/1.1", "502", "0 100 2.100 0.001, 0.002 0.500, 1.500 : -")
        + "nonsense\n"
}

#[test]
fn a_configuration_in_both_syntaxes_gives_the_metrics_of_prometheus_nginxlog_exporter() {
    for (name, config) in [("a.hcl", HCL), ("a.yaml", YAML), ("a.yml", YAML)] {
        let text = Setup::new(name, config, &[("access.log", &log())]).once();
        let all = r#"app="shop",environment="production""#;
        let requests = |method: &str, uri: &str, status: &str| {
            format!(
                "shop_http_response_count_total{{{all},method=\"{method}\",request_uri=\"{uri}\",status=\"{status}\",user=\"other\"}} 1"
            )
        };
        let get = format!(r#"{all},method="GET",status="200",user="other""#);
        let other = format!(r#"{all},method="other",status="502",user="other""#);
        assert_has(
            &text,
            &[
                "# TYPE shop_http_response_count_total counter",
                "# TYPE shop_http_response_size_bytes counter",
                "# TYPE shop_http_response_time_seconds summary",
                "# TYPE shop_http_response_time_seconds_hist histogram",
                &requests("GET", "/users/:id/cart", "200"),
                &requests("GET", "/img", "200"),
                &requests("other", "", "502"),
                &format!("shop_http_response_size_bytes{{{get}}} 16"),
                &format!("shop_http_response_size_bytes{{{other}}} 0"),
                &format!("shop_http_request_size_bytes{{{get}}} 500"),
                &format!("shop_http_response_time_seconds{{{get},quantile=\"0.5\"}} 0"),
                &format!("shop_http_response_time_seconds{{{get},quantile=\"0.9\"}} 0.01"),
                &format!("shop_http_response_time_seconds{{{get},quantile=\"0.99\"}} 0.01"),
                &format!("shop_http_response_time_seconds_sum{{{get}}} 0.01"),
                &format!("shop_http_response_time_seconds_count{{{get}}} 2"),
                &format!("shop_http_response_time_seconds_hist_bucket{{{get},le=\"0.005\"}} 1"),
                &format!("shop_http_response_time_seconds_hist_bucket{{{get},le=\"0.5\"}} 2"),
                &format!("shop_http_response_time_seconds_hist_bucket{{{other},le=\"2.5\"}} 1"),
                &format!("shop_http_response_time_seconds_hist_bucket{{{other},le=\"+Inf\"}} 1"),
                &format!("shop_http_response_time_seconds_hist_sum{{{other}}} 2.1"),
                &format!("shop_http_response_time_seconds_hist_count{{{other}}} 1"),
                &format!("shop_http_upstream_time_seconds_sum{{{other}}} 2"),
                &format!("shop_http_upstream_time_seconds_hist_sum{{{other}}} 2"),
                &format!("shop_http_upstream_connect_time_seconds_sum{{{other}}} 0.003"),
                &format!("shop_http_upstream_connect_time_seconds_hist_count{{{get}}} 1"),
                "shop_parse_errors_total 1",
                "httpd_requests_overflowed_total 0",
            ],
        );
        assert!(!text.contains("httpd_requests_total") && !text.contains("le=\"10\""), "{text}");
    }
}

#[test]
fn a_duration_that_is_missing_is_not_an_observation_of_0_seconds() {
    // prometheus-nginxlog-exporter observes 0 for an empty list and for a list of hyphens
    let config = HCL
        .replace("$upstream_response_time", "")
        .replace("FORMAT", r#"\"$request\" $status $body_bytes_sent \"$upstream_response_time\""#);
    let log = "\"GET / HTTP/1.1\" 200 5 \"\"\n\"GET / HTTP/1.1\" 200 - \"-, -\"\n\"GET / HTTP/1.1\" 200 x \"0.25\"\n";
    let text = Setup::new("a.hcl", &config, &[("access.log", log)]).once();
    let labels = r#"{app="shop",environment="production",method="GET",status="200",user=""}"#;
    assert_has(
        &text,
        &[
            &format!("shop_http_upstream_time_seconds_count{labels} 1"),
            &format!("shop_http_upstream_time_seconds_sum{labels} 0.25"),
            &format!("shop_http_response_size_bytes{labels} 5"),
            "shop_parse_errors_total 1",
        ],
    );
}

#[test]
fn json_is_read_by_keys_and_null_is_an_empty_label() {
    let config = "namespaces:\n- name: api\n  parser: json\n  source: {files: [LOGS/access.log]}\n  relabel_configs:\n  \
                  - {target_label: country, from: geo.country}\n  - {target_label: agent, from: agent}\n";
    let log = concat!(
        r#"{"request":"GET / HTTP/2.0","status":200,"body_bytes_sent":"7","request_time":1.5e-2,"geo.country":"DE","agent":"a\"b"}"#,
        "\n",
        r#"{"request":"GET / HTTP/2.0","status":200,"body_bytes_sent":9,"request_time":null,"geo.country":null}"#,
        "\n{\n",
    );
    let text = Setup::new("a.yml", config, &[("access.log", log)]).once();
    let first = r#"{agent="a\"b",country="DE",method="GET",status="200"}"#;
    // the labels of the line before, which prometheus-nginxlog-exporter keeps, are gone
    let second = r#"{agent="",country="",method="GET",status="200"}"#;
    assert_has(
        &text,
        &[
            &format!("api_http_response_count_total{first} 1"),
            &format!("api_http_response_count_total{second} 1"),
            &format!("api_http_response_size_bytes{second} 9"),
            &format!("api_http_response_time_seconds_sum{first} 0.015"),
            "api_parse_errors_total 1",
        ],
    );
    assert!(!text.contains("nil") && !text.contains("api_http_request_size_bytes"), "{text}");
}

#[test]
fn numbers_in_json_may_have_a_fraction_and_an_exponent() {
    let config = "namespaces: [{name: api, parser: json, source: {files: [LOGS/access.log]}}]\n";
    let line = |size: &str| format!("{{\"request\":\"GET / HTTP/2.0\",\"status\":200,\"body_bytes_sent\":{size}}}\n");
    let log = ["1.5e3", "12.0", "1E1", "0.6", "-1", "\"x\"", "1e300"].map(line).concat();
    let text = Setup::new("a.yml", config, &[("access.log", &log)]).once();
    let size = "api_http_response_size_bytes{method=\"GET\",status=\"200\"} 1523";
    assert_has(&text, &[size, "api_parse_errors_total 3"]);
}

#[test]
fn namespaces_share_metrics_with_a_label_for_their_names() {
    let namespace = |name: &str| {
        format!(
            "namespace \"{name}\" {{\n  source_files = [\"LOGS/{name}.log\"]\n  format = \"$request_method $status $host\"\n  \
             metrics_override = {{ prefix = \"\" }}\n  namespace_label = \"vhost\"\n  relabel \"method\" {{ from = \"request_method\" }}\n}}\n"
        )
    };
    let config = namespace("one") + &namespace("two");
    let setup = Setup::new("a.hcl", &config, &[("one.log", "GET 200 a\nBREW 418 a\n"), ("two.log", "GET 200 a\nx\n")]);
    let text = setup.once();
    assert_has(
        &text,
        &[
            r#"http_response_count_total{method="GET",status="200",vhost="one"} 1"#,
            r#"http_response_count_total{method="BREW",status="418",vhost="one"} 1"#,
            r#"http_response_count_total{method="GET",status="200",vhost="two"} 1"#,
            r#"parse_errors_total{vhost="one"} 0"#,
            r#"parse_errors_total{vhost="two"} 1"#,
        ],
    );
    assert_eq!(text.matches("# TYPE http_response_count_total ").count(), 1);
}

#[test]
fn a_format_without_a_request_has_an_empty_method() {
    let config = "namespaces:\n- name: edge\n  source_files: LOGS/*.log\n  format: \"$host $request_method $upstream_response_time\"\n";
    let text =
        Setup::new("a.yaml", config, &[("a.log", "a.example GET 0.5\n"), ("b.log", "b.example GET 0.1\n")]).once();
    assert_has(
        &text,
        &[
            r#"edge_http_response_count_total{method="",status=""} 2"#,
            r#"edge_http_upstream_time_seconds_sum{method="",status=""} 0.6"#,
        ],
    );
}

#[test]
fn the_exporter_listens_where_the_file_says_and_counts_what_is_written() {
    let port = free_port();
    let config = HCL
        .replace("port = 4040", &format!("port = {port}\n  address = \"127.0.0.1\"\n  metrics_endpoint = \"/stats\""));
    let setup = Setup::new("a.hcl", &config, &[("access.log", &log())]);
    let exporter = Running::spawn(command(PROGRAM).arg(setup.flag()));
    assert_eq!(exporter.url, format!("http://127.0.0.1:{port}"));
    append(&setup.path("access.log"), &line("GET /css/a.css HTTP/1.1", "304", "0 100 0.001 - -"));
    let text = eventually("the new line is counted", || {
        let text = exporter.get("/stats", &[]).body;
        text.contains(r#"request_uri="/css""#).then_some(text)
    });
    assert!(!text.contains("/img"), "lines before the start are not counted: {text}");
    assert_has(&text, &[r#"exporter_scrape_success{collector="access_log"} 1"#]);
    assert_eq!(exporter.get("/metrics", &[]).status, 404);
    let openmetrics = [("Accept", "application/openmetrics-text;version=1.0.0")];
    assert_openmetrics(&exporter.get("/stats", &openmetrics).body);
    let protobuf =
        [("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text")];
    assert!(exporter.get("/stats", &protobuf).body.contains("quantile: 0.99"));
}

#[test]
fn counters_survive_a_restart_and_quantiles_start_again() {
    let setup = Setup::new("a.hcl", HCL, &[("access.log", "")]);
    let flags = [setup.flag(), format!("--state.file={}", setup.path("state").display())];
    let count = r#"{app="shop",environment="production",method="GET",status="200",user="other"}"#;
    let [sum, bytes, quantile] = [
        format!("shop_http_response_time_seconds_sum{count}"),
        format!("shop_http_response_size_bytes{count}"),
        format!("shop_http_response_time_seconds{}", count.replace('}', ",quantile=\"0.5\"}")),
    ];
    let mut exporter = Running::start(PROGRAM, &flags);
    append(&setup.path("access.log"), &log());
    exporter.scrape_until("the lines are counted", |text| text.contains("shop_parse_errors_total 1\n"));
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    append(&setup.path("access.log"), &"x\n".repeat(2));
    let exporter = Running::start(PROGRAM, &flags);
    let text = eventually("the lines in between are counted", || {
        let metrics = exporter.get("/metrics", &[]); // 503 until then
        (metrics.status == 200).then_some(metrics.body)
    });
    assert_has(&text, &["shop_parse_errors_total 3"]);
    assert_eq!((value(&text, &sum), value(&text, &bytes)), (Some(0.01), Some(16.0)));
    assert!(value(&text, &quantile).unwrap().is_nan());
    append(&setup.path("access.log"), &log());
    let text = exporter.scrape_until("the new lines are counted", |text| text.contains("shop_parse_errors_total 4\n"));
    assert_eq!((value(&text, &sum), value(&text, &quantile)), (Some(0.02), Some(0.0)));
}

#[test]
fn syslog_messages_with_other_tags_are_not_counted() {
    let port = free_port();
    let config = format!(
        "namespaces:\n- name: edge\n  format: \"$request_method $status\"\n  source:\n    syslog:\n      \
         listen_address: udp://127.0.0.1:{port}\n      format: rfc3164\n      tags: [nginx, edge]\n"
    );
    let setup = Setup::new("a.yaml", &config, &[]);
    let exporter = Running::start(PROGRAM, [setup.flag()]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (tag, line) in [("nginx", "GET 200"), ("cron", "GET 200"), ("edge", "GET 404"), ("edge", "x")] {
        let message = format!("<190>Nov 20 09:26:10 web1 {tag}: {line}");
        socket.send_to(message.as_bytes(), ("127.0.0.1", port)).unwrap();
    }
    let text = exporter.scrape_until("all messages are read", |text| text.contains("edge_parse_errors_total 1\n"));
    let lines = |result: &str| {
        value(&text, &format!("httpd_log_lines_total{{result=\"{result}\",source=\"syslog+udp://127.0.0.1:{port}\"}}"))
    };
    assert_eq!((lines("matched"), lines("dropped")), (Some(2.0), Some(1.0)), "{text}");
    assert_has(&text, &[r#"edge_http_response_count_total{method="",status="404"} 1"#]);
}

#[test]
fn the_limit_of_series_applies_to_all_namespaces() {
    let config = r#"namespace "a" {
      source { files = ["LOGS/access.log"] }
      format = "$host \"$request\" $status $body_bytes_sent $request_time"
      relabel "host" { from = "host" }
    }"#;
    let log: String = (0..5000).map(|host| format!("h{host} \"GET / HTTP/1.1\" {} 5 0.1\n", 200 + host % 3)).collect();
    let setup = Setup::new("a.hcl", config, &[("access.log", &log)]);
    let output = setup.run(&["--once", "--metrics.max-series=1000"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.matches("the limit of series is reached").count(), 1, "{log}");
    assert!(log.contains("max_series=1000") && log.contains("raise --metrics.max-series"), "{log}");
    let text = String::from_utf8(output.stdout).unwrap();
    let series = text.lines().filter(|line| line.starts_with("a_http_")).count();
    assert!((700..=1000).contains(&series), "{series} series");
    let sum = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    assert_eq!((sum("a_http_response_count_total{"), sum("a_http_response_time_seconds_count{")), (5000.0, 5000.0));
    // method and status remain when the host becomes other
    assert!(
        value(&text, r#"a_http_response_count_total{host="other",method="GET",status="201"}"#) > Some(1000.0),
        "{text}"
    );
    assert!(value(&text, "httpd_requests_overflowed_total") > Some(4000.0));
}

#[test]
fn mistakes_and_conflicts_are_errors_of_one_line() {
    let setup = Setup::new("a.hcl", HCL, &[("access.log", "")]);
    assert!(setup.run(&["--check"]).status.success());
    for (flag, error) in [
        ("--access-log=/x", "the argument '--config.file <FILE>' cannot be used with '--access-log <SOURCE>'"),
        ("--access-log.format=common", "cannot be used with '--access-log.format <FORMAT>'"),
        ("--metrics.label=a=b", "cannot be used with '--metrics.label"),
        ("--metrics.histogram=a_seconds=b", "cannot be used with '--metrics.histogram"),
        ("--metrics.buckets=1", "cannot be used with '--metrics.buckets <LIST>'"),
    ] {
        let found = setup.error(&[flag]);
        assert!(found.contains(error), "{found}");
    }
    for (name, config, error) in [
        ("a.json", "{}", "a.json: unknown syntax: the name must end in .hcl, .yaml or .yml"),
        ("a.yaml", "namespaces: 7\n", "a.yaml: line 1: a namespace: expected a block of settings"),
        ("a.hcl", "namespace \"a\" {\n", "a.hcl: line 1: unclosed {: add a }"),
        ("a.hcl", &HCL.replace("FORMAT", "$"), "a.hcl: line 6: namespace shop: "),
        ("a.hcl", &HCL.replace("access.log", ""), "is a directory: specify a file"),
        ("a.hcl", &HCL.replace("access.log", "missing.log"), "missing.log"),
    ] {
        let found =
            Setup::new(name, &config.replace("FORMAT", "$remote_user $status"), &[("access.log", "")]).error(&[]);
        assert!(found.contains(error), "{found}");
    }
    let missing = run(PROGRAM, ["--config.file=/missing/a.hcl"]);
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("--config.file /missing/a.hcl: No such file or directory")
    );
}

#[test]
fn what_has_no_effect_is_logged() {
    let config = "port = 4040\nconsul { enable = true }\n".to_owned() + HCL;
    let setup = Setup::new("a.hcl", &config, &[("access.log", "")]);
    let log = String::from_utf8(setup.run(&["--once"]).stderr).unwrap();
    for warning in
        ["line 1: unknown setting port in the file is ignored", "line 2: consul: this exporter does not register"]
    {
        assert!(log.lines().any(|line| line.contains("level=WARN") && line.contains(warning)), "{log}");
    }
}

#[test]
fn a_mismatch_does_not_name_explain_and_a_regular_expression_may_be_of_go() {
    let config = "namespaces:\n- name: a\n  format: \"$request_uri $status\"\n  source: {files: [LOGS/access.log]}\n  \
                  relabel_configs:\n  - target_label: path\n    from: request_uri\n    matches:\n    \
                  - {regexp: '^/{id}[\\w-.]*$', replacement: id}\n";
    let setup = Setup::new("a.yml", config, &[("access.log", "/{id}a-.b 200\n-\n")]);
    let output = setup.run(&["--once"]);
    let (text, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_has(&text, &["a_http_response_count_total{method=\"\",path=\"id\",status=\"200\"} 1"]);
    assert!(log.contains("line does not match the format") && !log.contains("explain"), "{log}");
}
