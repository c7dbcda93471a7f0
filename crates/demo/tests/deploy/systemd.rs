//! deploy/systemd: units, defaults, notifications and socket activation.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Command as CommandLine;
use exporter_common::testing::{PATIENCE, Running, command, eventually, real, run};
use regex::Regex;

use crate::{DEMO, EXPORTERS};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd");

fn file(name: &str) -> String {
    let path = format!("{FOLDER}/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The demo's binary under the name of an exporter.
fn exporter(name: &str, folder: &Path) -> PathBuf {
    let path = folder.join(name);
    std::os::unix::fs::symlink(DEMO, &path).unwrap();
    path
}

#[test]
fn the_exposure_of_every_unit_is_at_most_1_5() {
    let Some(analyze) = real("systemd-analyze") else { return };
    for (name, _) in EXPORTERS {
        let unit = format!("{FOLDER}/{name}.service");
        let output = run(analyze.to_str().unwrap(), ["security", "--offline=true", "--threshold=15", &unit]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn systemd_analyze_verify_reports_nothing() {
    let Some(analyze) = real("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in EXPORTERS {
        let program = exporter(name, folder.path());
        // The exporter is not installed in /usr/bin.
        let service = file(&format!("{name}.service")).replace(&format!("/usr/bin/{name}"), program.to_str().unwrap());
        let paths = ["service", "socket"].map(|kind| folder.path().join(format!("{name}.{kind}")));
        std::fs::write(&paths[0], service).unwrap();
        std::fs::write(&paths[1], file(&format!("{name}.socket"))).unwrap();
        let units = paths.each_ref().map(|path| path.to_str().unwrap());
        let flags = ["verify", "--man=no", "--recursive-errors=no"];
        let output = run(analyze.to_str().unwrap(), flags.into_iter().chain(units));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && message.is_empty(), "{name}: {message}");
    }
}

/// The environment variables of a program.
fn variables(line: &CommandLine) -> Vec<String> {
    line.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned())).collect()
}

#[test]
fn units_and_defaults_use_existing_ports_flags_and_variables() {
    let flag = Regex::new(r"--([a-z][a-z.-]*)").unwrap();
    let argument = Regex::new("(?m)^#?ARGS=\"(.*)\"$").unwrap();
    for (name, line) in EXPORTERS {
        let line = line();
        let prefix = name.to_uppercase().replace('-', "_");
        let variable = Regex::new(&format!(r"\b{prefix}_[A-Z_]+")).unwrap();
        let known = variables(&line);
        for kind in ["service", "socket", "default"] {
            for found in variable.find_iter(&file(&format!("{name}.{kind}"))) {
                assert!(known.iter().any(|known| known == found.as_str()), "{name}.{kind}: {}", found.as_str());
            }
        }
        let default = file(&format!("{name}.default"));
        for arguments in argument.captures_iter(&default) {
            for found in flag.captures_iter(&arguments[1]) {
                let known = line.get_arguments().any(|flag| flag.get_long() == Some(&found[1]));
                assert!(known, "{name}.default: --{}", &found[1]);
            }
        }
        let address = line.get_arguments().find(|flag| flag.get_long() == Some("web.listen-address")).unwrap();
        let port = address.get_default_values()[0].to_str().unwrap().trim_start_matches(':');
        assert!(file(&format!("{name}.socket")).contains(&format!("\nListenStream={port}\n")), "{name}: {port}");
    }
}

#[test]
fn the_defaults_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in EXPORTERS {
        let default = file(&format!("{name}.default"));
        let arguments = default.lines().find_map(|line| line.strip_prefix("ARGS=")).unwrap().trim_matches('"');
        let program = exporter(name, folder.path());
        let mut line = command(program.to_str().unwrap());
        let output = line.args(arguments.split_whitespace()).arg("--check").output().unwrap();
        // The access log may be missing, because nginx may not be installed.
        let message = String::from_utf8_lossy(&output.stderr);
        let missing = message.contains("/var/log/nginx/access.log") && *name == "httpd-log-exporter";
        assert!(output.status.success() || missing, "{name} {arguments}: {message}");
    }
}

#[test]
fn systemd_receives_ready_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut datagram = [0; 64];
        let length = systemd.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap().trim_end().to_owned()
    };
    let program = exporter("cpu-exporter", folder.path());
    let mut line = command(program.to_str().unwrap());
    line.arg("--web.listen-address=127.0.0.1:0").env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    let mut running = Running::spawn(&mut line);
    assert_eq!(receive(), "READY=1");
    for _ in 0..3 {
        assert_eq!(receive(), "WATCHDOG=1");
    }
    running.signal("TERM");
    while receive() != "STOPPING=1" {}
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn a_stopped_process_sends_no_watchdog_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let program = exporter("cpu-exporter", folder.path());
    let mut line = command(program.to_str().unwrap());
    line.arg("--web.listen-address=127.0.0.1:0").env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    let running = Running::spawn(&mut line);
    running.signal("STOP");
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
    eventually("the process is stopped", || state().contains(") T ").then_some(()));
    systemd.set_nonblocking(true).unwrap();
    let mut datagram = [0; 64];
    while systemd.recv(&mut datagram).is_ok() {}
    systemd.set_nonblocking(false).unwrap();
    systemd.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(systemd.recv(&mut datagram).is_err(), "a stopped process sent a message");
    running.signal("CONT");
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    systemd.recv(&mut datagram).unwrap();
}

#[test]
fn socket_activation_starts_the_exporter() {
    let Some(activate) = real("systemd-socket-activate") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in EXPORTERS {
        let program = exporter(name, folder.path());
        let socket = folder.path().join(format!("{name}.sock"));
        let variable = format!("{}_WEB_SYSTEMD_SOCKET=true", name.to_uppercase().replace('-', "_"));
        let log = folder.path().join("access.log");
        std::fs::write(&log, "").unwrap();
        let own = match *name {
            "httpd-log-exporter" => format!("--access-log={}", log.display()),
            "queue-exporter" => "--queue.url=http://127.0.0.1:9/queues".to_owned(),
            _ => "--web.max-requests=4".to_owned(),
        };
        let mut systemd = Command::new(&activate)
            .args(["-E", &variable, "-l"])
            .args([&socket, &program])
            .arg(own)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = eventually("systemd listens", || UnixStream::connect(&socket).ok());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        let read = client.read_to_string(&mut response);
        systemd.kill().unwrap(); // it replaced itself by the exporter
        systemd.wait().unwrap();
        read.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{name}: {response}");
    }
}
