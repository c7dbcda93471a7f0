//! The documented mappings with real servers: Apache, nginx, php-fpm, HAProxy and uWSGI.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use exporter_common::testing::{command, eventually, free_port, real, value};

const KNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json-mapping.yml");

/// The names of php-fpm in Debian.
const PHP_FPM: &[&str] = &["php-fpm8.2", "php-fpm8.3", "php-fpm8.4", "php-fpm8.5"];

/// A server that runs until this is dropped.
struct Server(Child);

impl Server {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // its workers exit, too
        let sent = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
        let _ = self.0.wait();
    }
}

/// The metrics of a page, as soon as the server responds with all of them.
fn scrape(url: &str, module: &str) -> String {
    eventually(&format!("the mapping {module} succeeds"), || {
        let mut exporter = command(env!("CARGO_BIN_EXE_app-status-exporter"));
        exporter.args(["--once", &format!("--app.url={url}"), &format!("--config.file={KNOWN}")]);
        let output = exporter.arg(format!("--config.module={module}")).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
}

/// Whether the test runs as root, so that a server needs a user in its configuration.
fn root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// nginx with its own status page and the pages of a php-fpm, on a socket in the folder.
fn nginx(folder: &Path) -> Option<(Server, PathBuf)> {
    let program = real("nginx")?;
    let (at, root) = (folder.display(), if root() { "user root;" } else { "" });
    let configuration = format!(
        "{root} daemon off; pid {at}/nginx.pid; error_log {at}/nginx.log; events {{ worker_connections 64; }}
         http {{
             access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
             server {{
                 listen unix:{at}/nginx;
                 location = /status {{ stub_status; }}
                 location = /fpm {{
                     fastcgi_pass unix:{at}/fpm; fastcgi_param SCRIPT_NAME /fpm; fastcgi_param SCRIPT_FILENAME /fpm;
                     fastcgi_param REQUEST_METHOD GET; fastcgi_param QUERY_STRING $query_string;
                 }}
             }}
         }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let server = Server::start(&program, &["-c", file.to_str()?, "-e", folder.join("nginx.log").to_str()?]);
    Some((server, folder.join("nginx")))
}

#[test]
fn the_status_of_nginx_is_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_nginx, socket)) = nginx(folder.path()) else { return };
    let metrics = scrape(&format!("unix:{}:/status", socket.display()), "nginx-stub");
    assert_eq!(value(&metrics, "nginx_connections_writing"), Some(1.0), "this request: {metrics}");
    assert!(value(&metrics, "nginx_requests_total") >= Some(1.0));
}

#[test]
fn the_status_of_php_fpm_is_mapped_from_its_text_and_its_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some((_nginx, socket)) = nginx(folder) else { return };
    let installed = |name: &&&str| Path::new("/usr/sbin").join(name).is_file();
    let Some(php_fpm) = real(PHP_FPM.iter().find(installed).unwrap_or(&PHP_FPM[0])) else { return };
    let (at, user) = (folder.display(), if root() { "user=root\ngroup=root\n" } else { "" });
    let configuration = format!(
        "[global]\nerror_log={at}/fpm.log\ndaemonize=no\n[www]\nlisten={at}/fpm\n{user}pm=static\npm.max_children=2\n\
         pm.status_path=/fpm\n"
    );
    let file = folder.join("fpm.conf");
    fs::write(&file, configuration).unwrap();
    let _php_fpm = Server::start(&php_fpm, &["-n", "-R", "-y", file.to_str().unwrap()]);
    for (module, query) in [("php-fpm-text", "full"), ("php-fpm", "json&full")] {
        let metrics = scrape(&format!("unix:{}:/fpm?{query}", socket.display()), module);
        assert_eq!(value(&metrics, "phpfpm_processes_active{pool=\"www\"}"), Some(1.0), "{module}: {metrics}");
        assert!(value(&metrics, "phpfpm_accepted_total{pool=\"www\"}") >= Some(1.0), "{module}");
        assert!(value(&metrics, "phpfpm_start_time_seconds{pool=\"www\"}") > Some(1e9), "{module}");
    }
}

#[test]
fn the_status_of_haproxy_is_mapped() {
    let Some(haproxy) = real("haproxy") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (at, file) = (folder.path().display(), folder.path().join("haproxy.cfg"));
    let configuration = format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
         frontend web\n bind unix@{at}/haproxy\n stats enable\n stats uri /stats\n default_backend app\n\
         backend app\n server good unix@{at}/haproxy check\n server bad unix@{at}/none check\n server other 127.0.0.1:9\n"
    );
    fs::write(&file, configuration).unwrap();
    let _haproxy = Server::start(&haproxy, &["-db", "-f", file.to_str().unwrap()]);
    let url = format!("unix:{at}/haproxy:/stats;csv");
    let state = |metrics: &str, server| {
        value(metrics, &format!("haproxy_server_up{{proxy=\"app\",server=\"{server}\"}}")).unwrap()
    };
    let metrics = eventually("the check finds the missing server", || {
        let metrics = scrape(&url, "haproxy");
        (state(&metrics, "bad") == 0.0).then_some(metrics)
    });
    assert_eq!(state(&metrics, "good"), 1.0, "{metrics}");
    assert!(state(&metrics, "other").is_nan(), "it is not checked: {metrics}");
    assert!(value(&metrics, "haproxy_frontend_sessions_total{proxy=\"web\"}") >= Some(1.0), "{metrics}");
    assert_eq!(value(&metrics, "haproxy_backend_responses_total{code=\"hrsp_5xx\",proxy=\"app\"}"), Some(0.0));
}

#[test]
fn the_stats_socket_of_haproxy_is_mapped() {
    let Some(haproxy) = real("haproxy") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (at, file) = (folder.path().display(), folder.path().join("haproxy.cfg"));
    let configuration = format!(
        "global\n stats socket {at}/admin mode 600\n\
         defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
         frontend web\n bind unix@{at}/haproxy\n default_backend app\n backend app\n server other 127.0.0.1:9\n"
    );
    fs::write(&file, configuration).unwrap();
    let _haproxy = Server::start(&haproxy, &["-db", "-f", file.to_str().unwrap()]);
    let url = format!("socket:{at}/admin");
    let metrics = scrape(&url, "haproxy-stat");
    assert!(value(&metrics, "haproxy_server_up{proxy=\"app\",server=\"other\"}").unwrap().is_nan(), "{metrics}");
    assert_eq!(value(&metrics, "haproxy_frontend_sessions_total{proxy=\"web\"}"), Some(0.0), "{metrics}");
    let metrics = scrape(&url, "haproxy-info");
    assert!(value(&metrics, "haproxy_start_time_seconds") > Some(1e9), "{metrics}");
    assert!(value(&metrics, "haproxy_connections_total") >= Some(1.0), "the requests of this test: {metrics}");
    assert!(value(&metrics, "haproxy_idle_ratio") <= Some(1.0), "{metrics}");
    // both pages, with one connection for each request
    let mapping = folder.path().join("both.yml");
    let text = "modules:\n  default:\n    body: {content: show info json}\n    metrics:\n\
        \x20   - {name: fields, path: '{[0].value.value}', valuetype: info}\n\
        \x20   - {name: pages, url: show stat json, path: '{[0][0].value.value}', valuetype: info}\n";
    fs::write(&mapping, text).unwrap();
    let mut exporter = command(env!("CARGO_BIN_EXE_app-status-exporter"));
    exporter.args(["--once", &format!("--app.url={url}"), &format!("--config.file={}", mapping.display())]);
    let output = exporter.output().unwrap();
    let metrics = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for page in [url.as_str(), "show stat json"] {
        assert_eq!(value(&metrics, &format!("app_status_page_success{{page=\"{page}\"}}")), Some(1.0), "{metrics}");
    }
}

#[test]
fn the_stats_server_of_uwsgi_is_mapped_over_tcp_and_a_unix_socket() {
    let Some(uwsgi) = real("uwsgi-core") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (at, port) = (folder.path().display(), free_port());
    let (tcp, unix) = (format!("127.0.0.1:{port}"), format!("{at}/stats"));
    for (url, stats) in [(format!("tcp://{tcp}"), tcp), (format!("socket:{unix}"), unix)] {
        let socket = format!("{at}/uwsgi");
        let _uwsgi = Server::start(
            &uwsgi,
            &["--master", "--die-on-term", "--processes=2", "--socket", &socket, "--stats", &stats],
        );
        let metrics = eventually("both workers are idle", || {
            let metrics = scrape(&url, "uwsgi");
            let idle = |worker| {
                value(&metrics, &format!("uwsgi_worker_state{{uwsgi_worker_state=\"idle\",worker=\"{worker}\"}}"))
            };
            (idle(1) == Some(1.0) && idle(2) == Some(1.0)).then_some(metrics)
        });
        for (series, expected) in [
            ("uwsgi_load", 0.0),
            ("uwsgi_listen_queue_length", 0.0),
            ("uwsgi_listen_queue_errors_total", 0.0),
            ("uwsgi_worker_requests_total{worker=\"1\"}", 0.0),
            ("uwsgi_worker_exceptions_total{worker=\"2\"}", 0.0),
            ("uwsgi_worker_spawns_total{worker=\"2\"}", 1.0),
            ("uwsgi_worker_running_seconds_total{worker=\"1\"}", 0.0),
        ] {
            assert_eq!(value(&metrics, series), Some(expected), "{series}: {metrics}");
        }
        let limit = format!("uwsgi_socket_queue_limit{{socket=\"{socket}\"}}");
        assert_eq!(value(&metrics, &limit), Some(0.0), "uWSGI does not know the limit of a Unix socket: {metrics}");
    }
}

#[test]
fn the_status_of_apache_is_mapped() {
    let Some(apache) = real("apache2") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (at, file, port) = (folder.path().display(), folder.path().join("apache.conf"), free_port());
    let modules: String = ["mpm_event", "authz_core", "status"]
        .iter()
        .map(|module| format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"))
        .collect();
    let configuration = format!(
        "ServerRoot {at}\nPidFile {at}/pid\nErrorLog {at}/error.log\nServerName localhost\nListen 127.0.0.1:{port}\n\
         {modules}User www-data\nGroup www-data\nExtendedStatus On\nStartServers 1\nThreadsPerChild 5\n\
         MaxRequestWorkers 10\nMinSpareThreads 5\nMaxSpareThreads 10\n\
         <Location /server-status>\nSetHandler server-status\n</Location>\n"
    );
    fs::write(&file, configuration).unwrap();
    let _apache = Server::start(&apache, &["-DFOREGROUND", "-f", file.to_str().unwrap()]);
    let url = format!("http://127.0.0.1:{port}/server-status?auto");
    let metrics = eventually("a request is counted", || {
        let metrics = scrape(&url, "apache");
        (value(&metrics, "apache_accesses_total") >= Some(1.0)).then_some(metrics)
    });
    assert_eq!(value(&metrics, "apache_workers{state=\"reply\"}"), Some(1.0), "this request: {metrics}");
    assert!(value(&metrics, "apache_connections").is_some() && value(&metrics, "apache_uptime_seconds").is_some());
}
