//! Requests with a configuration: headers, authentication, bodies, tokens, sockets; and reloads.

mod hang;
mod proxy;
mod stream;
mod tls;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::app::{App, Behavior, raw, response};
use exporter_common::testing::{Running, eventually, value};
use tempfile::TempDir;

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");
const SUCCESS: &str = "exporter_scrape_success{collector=\"app_status\"}";
const RELOAD_SUCCESS: &str = "exporter_config_last_reload_successful";

/// A folder with a configuration of one metric, `up`, and other keys of its module.
struct Config(TempDir);

impl Config {
    fn new(module: &str) -> Self {
        let config = Self(tempfile::tempdir().unwrap());
        config.write("config.yml", &config_text(module, "up"));
        config
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn flags(&self, url: &str) -> [String; 3] {
        let file = self.0.path().join("config.yml");
        [format!("--config.file={}", file.display()), format!("--app.url={url}"), "--poll.interval=0".to_owned()]
    }

    fn once(&self, url: &str) -> Output {
        program().arg("--once").args(self.flags(url)).stdin(Stdio::null()).output().unwrap()
    }

    fn start(&self, url: &str) -> Running {
        Running::spawn(program().arg("--web.listen-address=127.0.0.1:0").args(self.flags(url)))
    }
}

fn config_text(module: &str, metric: &str) -> String {
    format!("modules:\n  default:\n    metrics:\n    - {{name: {metric}, path: '{{.up}}'}}\n{module}")
}

/// The exporter without the proxies and settings of the tests' environment, and with one secret.
fn program() -> Command {
    let mut command = Command::new(EXPORTER);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        if text.starts_with("APP_STATUS_EXPORTER_") || text.ends_with("_PROXY") || text.ends_with("_PORT") {
            command.env_remove(name);
        }
    }
    command.env("APP_TOKEN", "s3cret-of-environment");
    command
}

fn up() -> Behavior {
    response("200 OK", "{\"up\": 1}")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_up(output: &Output) -> bool {
    output.status.code() == Some(0) && value(&String::from_utf8_lossy(&output.stdout), "up") == Some(1.0)
}

#[test]
fn headers_and_credentials_reach_the_application_but_no_log() {
    for (module, expected) in [
        (
            "    headers: {X-Dummy: my-test, User-Agent: nobody}\n",
            vec!["x-dummy: my-test", "user-agent: nobody", "accept: application/json"],
        ),
        ("    headers: {Accept: text/json}\n", vec!["accept: text/json"]),
        (
            "    http_client_config: {basic_auth: {username: user, password: s3cret}}\n",
            vec!["authorization: basic dxnlcjpzm2nyzxq="],
        ),
        (
            "    http_client_config: {basic_auth: {username: user, password_file: secret.txt}}\n",
            vec!["authorization: basic dxnlcjpzm2nyzxqtb2ytzmlszq=="],
        ),
        ("    http_client_config: {bearer_token: s3cret}\n", vec!["authorization: bearer s3cret"]),
        (
            "    http_client_config: {authorization: {type: Token, credentials_env: APP_TOKEN}}\n",
            vec!["authorization: token s3cret-of-environment"],
        ),
        (
            "    http_client_config: {authorization: {credentials_file: secret.txt}}\n",
            vec!["authorization: bearer s3cret-of-file"],
        ),
        (
            "    http_client_config: {http_headers: {X-Key: {values: [a], secrets: [s3cret], files: [secret.txt], env: [APP_TOKEN]}}}\n",
            vec!["x-key: a\r\n", "x-key: s3cret\r\n", "x-key: s3cret-of-file\r\n", "x-key: s3cret-of-environment\r\n"],
        ),
    ] {
        let app = App::start(up());
        let config = Config::new(module);
        config.write("secret.txt", "s3cret-of-file\n");
        let exporter = Running::spawn(
            program().args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]).args(config.flags(&app.url())),
        );
        assert_eq!(value(&exporter.scrape(), "up"), Some(1.0), "{module} {}", exporter.log());
        let request = app.requests()[0].to_lowercase();
        for header in expected {
            assert!(request.contains(header), "{header}\n{request}");
        }
        app.set(response("500 Internal Server Error", ""));
        exporter.scrape();
        eventually("the failure is logged", || exporter.log().contains("response status 500").then_some(()));
        assert!(!exporter.log().contains("s3cret"), "{}", exporter.log());
    }
}

#[test]
fn a_body_is_posted() {
    let app = App::start(up());
    let output = Config::new("    body: {content: '{\"query\": 1}'}\n").once(&app.url());
    assert!(is_up(&output), "{}", stderr(&output));
    assert!(app.requests()[0].starts_with("POST /status "), "{:?}", app.requests());
    assert!(app.requests()[0].to_lowercase().contains("content-length: 12\r\n"), "{:?}", app.requests());
}

#[test]
fn a_compressed_response_is_read_although_none_was_requested() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"{\"up\": 1}").unwrap();
        let body = encoder.finish().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    });
    let output = Config::new("").once(&url);
    assert!(is_up(&output), "{}", stderr(&output));
}

#[test]
fn only_valid_status_codes_are_accepted() {
    for (module, status, read) in [
        ("", "200 OK", true),
        ("", "503 Service Unavailable", true),
        ("", "500 Internal Server Error", false),
        ("    valid_status_codes: [418, 500]\n", "500 Internal Server Error", true),
        ("    valid_status_codes: [418, 500]\n", "200 OK", false),
    ] {
        let app = App::start(response(status, "{\"up\": 1}"));
        assert_eq!(is_up(&Config::new(module).once(&app.url())), read, "{module} {status}");
    }
}

#[test]
fn a_redirect_to_another_host_is_not_followed() {
    let other = App::start(up());
    let app = App::start(Behavior::Responds(raw("302 Found", &format!("Location: {}\r\n", other.url()), "")));
    let config = Config::new("    headers: {X-Api-Key: s3cret}\n    http_client_config: {bearer_token: s3cret}\n");
    let exporter = config.start(&app.url());
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(value(&metrics, "app_status_failures_total{reason=\"redirect\"}") > Some(0.0), "{metrics}");
    assert_eq!((other.connections(), value(&metrics, "up")), (0, None));
    let output = Config::new("    http_client_config: {follow_redirects: false}\n").once(&app.url());
    assert!(stderr(&output).contains("response status 302 Found"), "{}", stderr(&output));
}

#[test]
fn a_token_is_requested_once_and_sent() {
    let server = App::start(response(
        "200 OK",
        "{\"access_token\": \"t0ken\", \"token_type\": \"bearer\", \"expires_in\": 3600}",
    ));
    let app = App::start(up());
    let config = Config::new(&format!(
        "    http_client_config:\n      oauth2: {{client_id: me, client_secret: 's3cret', scopes: [a, b], token_url: '{}'}}\n",
        server.url()
    ));
    let exporter = config.start(&app.url());
    for _ in 0..3 {
        assert_eq!(value(&exporter.scrape(), "up"), Some(1.0), "{}", exporter.log());
    }
    assert!(app.requests().iter().all(|request| request.to_lowercase().contains("authorization: bearer t0ken")));
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.starts_with("POST /status ")).count(), 1, "{requests:?}");
    assert!(requests[0].to_lowercase().contains("authorization: basic bwu6cznjcmv0"), "{requests:?}");
    server.set(response("400 Bad Request", "{}"));
    app.set(response("401 Unauthorized", ""));
    exporter.scrape_until("the token is discarded", |metrics| {
        value(metrics, "app_status_failures_total{reason=\"token\"}") > Some(0.0)
    });
    assert!(!exporter.log().contains("s3cret") && !exporter.log().contains("t0ken"), "{}", exporter.log());
}

#[test]
fn a_token_is_always_requested_on_a_new_connection() {
    // expires immediately: every read needs a new token
    let token = raw("200 OK", "", "{\"access_token\": \"t0ken\", \"expires_in\": 0}");
    let server = App::start(Behavior::RespondsUnlessIdle(token, Duration::ZERO));
    let app = App::start(up());
    let config = Config::new(&format!(
        "    http_client_config: {{oauth2: {{client_id: me, client_secret: s3cret, token_url: '{}'}}}}\n",
        server.url()
    ));
    let exporter = config.start(&app.url());
    for _ in 0..3 {
        assert_eq!(value(&exporter.scrape(), "up"), Some(1.0), "{}", exporter.log());
    }
    let requests = server.requests();
    // one per scrape, and one for the read at the start
    assert_eq!(server.connections(), requests.len(), "one connection per request: {requests:?}");
    assert!(requests.len() >= 3, "{requests:?}");
    assert!(requests.iter().all(|request| request.to_lowercase().contains("authorization: basic ")), "{requests:?}");
}

#[test]
fn a_page_is_read_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let len = stream.read(&mut request).unwrap();
        stream.write_all(raw("200 OK", "", "{\"up\": 1}").as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..len]).into_owned()
    });
    let output = Config::new("").once(&format!("unix:{}:/status?full=1", path.display()));
    assert!(is_up(&output), "{}", stderr(&output));
    assert!(served.join().unwrap().starts_with("GET /status?full=1 HTTP/1.1\r\n"));
}

#[test]
fn several_pages_are_read_in_one_scrape() {
    let folder = Config(tempfile::tempdir().unwrap());
    folder.write("status.json", "{\"up\": 1}");
    folder.write("queues.json", "{\"depth\": 3}");
    let metrics =
        "    - {name: depth, url: /queues.json, path: '{.depth}'}\n    - {name: gone, url: gone.json, path: '{.x}'}\n";
    folder.write("config.yml", &config_text(metrics, "up"));
    let output = folder.once(&format!("file:{}/status.json", folder.0.path().display()));
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!((value(&metrics, "up"), value(&metrics, "depth")), (Some(1.0), Some(3.0)), "{}", stderr(&output));
    assert_eq!((value(&metrics, SUCCESS), output.status.code()), (Some(0.0), Some(1)));
    assert!(stderr(&output).contains("gone.json: cannot read the file: No such file"), "{}", stderr(&output));
}

#[test]
fn idle_connections_that_the_application_closes_are_not_a_failure() {
    let idle_limit = Duration::from_secs(1);
    let app = App::start(Behavior::RespondsUnlessIdle(raw("200 OK", "", "{\"up\": 1}"), idle_limit));
    let pages: String = (0..8).map(|n| format!("    - {{name: page{n}, url: /page/{n}, path: '{{.up}}'}}\n")).collect();
    let config = Config::new(&pages);
    let exporter = config.start(&app.url());
    for _ in 0..3 {
        let metrics = exporter.scrape();
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
        thread::sleep(idle_limit); // the application closes all connections at the next scrape
    }
}

#[test]
fn a_changed_file_is_reloaded_and_an_invalid_one_is_not_used() {
    let app = App::start(up());
    let config = Config::new("");
    let exporter = config.start(&app.url());
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, "up"), value(&metrics, RELOAD_SUCCESS)), (Some(1.0), Some(1.0)));
    config.write("config.yml", &config_text("", "renamed"));
    exporter.scrape_until("the new mapping", |metrics| value(metrics, "renamed") == Some(1.0));
    config.write("config.yml", &config_text("    heders: {}\n", "broken"));
    let metrics = exporter.scrape_until("the failure", |metrics| value(metrics, RELOAD_SUCCESS) == Some(0.0));
    assert_eq!((value(&metrics, "renamed"), value(&metrics, SUCCESS)), (Some(1.0), Some(1.0)), "the last valid one");
    exporter.scrape();
    let message = "config.yml:5: unknown key heders in module default; did you mean headers?";
    assert_eq!(exporter.log().matches(message).count(), 1, "{}", exporter.log());
    config.write("config.yml", &config_text("", "fixed"));
    exporter.scrape_until("the fixed file", |metrics| {
        value(metrics, "fixed") == Some(1.0) && value(metrics, RELOAD_SUCCESS) == Some(1.0)
    });
}

#[test]
fn sighup_reloads_the_file() {
    let app = App::start(up());
    let config = Config::new("");
    let exporter = config.start(&app.url());
    exporter.scrape();
    exporter.signal("HUP");
    eventually("the reload is logged", || exporter.log().contains("msg=\"configuration loaded\"").then_some(()));
    assert_eq!(value(&exporter.scrape(), "up"), Some(1.0));
}

#[test]
fn check_reports_errors_without_connecting() {
    let app = App::start(up());
    for (module, message) in [
        ("", None),
        ("    heders: {}\n", Some("config.yml:5: unknown key heders in module default; did you mean headers?")),
        (
            "    body: {content: '{{ .x }}', templatize: true}\n",
            Some("config.yml:5: body: templatize is not supported"),
        ),
        ("    http_client_config: {bearer_token_file: none}\n", Some("config.yml:5: bearer_token_file: cannot read ")),
        (
            "    http_client_config: {bearer_token_env: NOT_SET_HERE}\n",
            Some("the environment variable NOT_SET_HERE is not set"),
        ),
    ] {
        let config = Config::new(module);
        let output = program().arg("--check").args(config.flags(&app.url())).output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(message.is_some())), "{module} {}", stderr(&output));
        assert!(stderr(&output).contains(message.unwrap_or("valid")), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    assert_eq!(app.connections(), 0);
}
