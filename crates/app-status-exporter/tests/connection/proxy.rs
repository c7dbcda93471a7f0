//! Requests through proxies.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use exporter_common::testing::free_port;

use super::tls::{certified, page_and_close, serve_tls};
use super::{Config, is_up, program, stderr, up};
use crate::app::App;

/// A proxy that connects to this host for every name, and the headers of its requests.
fn serve_proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    thread::spawn({
        let requests = requests.clone();
        move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    client.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let authority =
                    head.strip_prefix("connect ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
                requests.lock().unwrap().push(head);
                let Some(authority) = authority else {
                    client.write_all(page_and_close().as_bytes()).unwrap();
                    continue;
                };
                let port = authority.rsplit(':').next().unwrap().parse().unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut from, &mut to));
                thread::spawn(move || io::copy(&mut server, &mut client));
            }
        }
    });
    (address, requests)
}

#[test]
fn a_page_over_tls_is_requested_through_a_tunnel() {
    let (proxy, requests) = serve_proxy();
    let config = Config::new(&format!(
        "    http_client_config:\n      proxy_url: 'http://me:pr0xy@{proxy}'\n      proxy_connect_header: {{X-Tunnel: [a, b]}}\n      \
         bearer_token: s3cret\n      tls_config: {{ca_file: cert.pem}}\n"
    ));
    let (port, serving) = serve_tls(certified(config.0.path(), "app.internal"), page_and_close());
    let output = config.once(&format!("https://app.internal:{port}/status"));
    assert!(is_up(&output), "{}", stderr(&output));
    let (requests, seen) = (requests.lock().unwrap(), serving.join().unwrap().unwrap());
    assert!(requests[0].starts_with(&format!("connect app.internal:{port} ")), "{requests:?}");
    for header in ["x-tunnel: a\r\n", "x-tunnel: b\r\n", "proxy-authorization: basic bwu6chiwehk=\r\n"] {
        assert!(requests[0].contains(header), "{requests:?}");
    }
    assert!(!requests[0].contains("s3cret"), "{requests:?}");
    assert!(seen.request.contains("authorization: bearer s3cret\r\n"), "{seen:?}");
    assert!(!seen.request.contains("x-tunnel") && !seen.request.contains("proxy-authorization"), "{seen:?}");
}

#[test]
fn a_configured_proxy_is_used_and_its_headers_are_for_tunnels_only() {
    let (proxy, requests) = serve_proxy();
    let config = Config::new(&format!(
        "    http_client_config: {{proxy_url: 'http://{proxy}', proxy_connect_header: {{X-Tunnel: [a]}}}}\n"
    ));
    let output = config.once("http://app.example/status");
    assert!(is_up(&output), "{}", stderr(&output));
    let requests = requests.lock().unwrap();
    assert!(
        requests[0].starts_with("get http://app.example/status ") && !requests[0].contains("x-tunnel"),
        "{requests:?}"
    );
}

#[test]
fn a_proxy_that_is_down_is_reported_without_its_password() {
    let port = free_port();
    let config = Config::new(&format!("    http_client_config: {{proxy_url: 'http://me:pr0xy@127.0.0.1:{port}'}}\n"));
    for url in ["http://app.example/status", "https://app.example/status"] {
        let output = config.once(url);
        assert!(
            stderr(&output).contains("cannot connect: ") && !stderr(&output).contains("pr0xy"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn hosts_of_no_proxy_are_requested_directly() {
    let app = App::start(up());
    for (no_proxy, url, direct) in [
        (", no_proxy: 'app.example, 10.0.0.0/8'", "http://app.example/", true),
        (", no_proxy: .example", "http://app.example/", true),
        (", no_proxy: '*'", "http://app.example/", true),
        (", no_proxy: '*'", "http://127.0.0.9:9/", true),
        (", no_proxy: other.example", "http://app.example/", false),
        (", no_proxy: other.example", app.url().as_str(), true), // Go never uses a proxy for this host
        ("", app.url().as_str(), false),
    ] {
        let (proxy, requests) = serve_proxy();
        let config = Config::new(&format!("    http_client_config: {{proxy_url: 'http://{proxy}'{no_proxy}}}\n"));
        let output = config.once(url);
        assert_eq!(requests.lock().unwrap().is_empty(), direct, "{no_proxy} {url} {}", stderr(&output));
        assert!(direct || is_up(&output), "{}", stderr(&output));
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_if_the_configuration_says_so() {
    let app = App::start(up());
    for (url, no_proxy, direct) in [
        ("http://app.example/", "", false),
        ("http://app.example/", "app.example", true),
        (app.url().as_str(), "", true),
    ] {
        for (variable, scheme) in [("HTTP_PROXY", "http://"), ("http_proxy", "")] {
            let (proxy, requests) = serve_proxy();
            let config = Config::new("    http_client_config: {proxy_from_environment: true}\n");
            let mut command = program();
            command
                .env(variable, format!("{scheme}{proxy}"))
                .env("NO_PROXY", no_proxy)
                .env("ALL_PROXY", "http://a.example");
            let output = command.arg("--once").args(config.flags(url)).output().unwrap();
            assert_eq!(requests.lock().unwrap().is_empty(), direct, "{url} {no_proxy} {}", stderr(&output));
        }
    }
    let config = Config::new("    http_client_config: {proxy_from_environment: true}\n");
    let mut command = program();
    command.env("HTTPS_PROXY", "ftp://me:pr0xy@host").arg("--check").args(config.flags("http://app.example/"));
    let output = command.output().unwrap();
    let message = "config.yml:5: HTTPS_PROXY is not an http or https URL";
    assert!(stderr(&output).contains(message) && !stderr(&output).contains("pr0xy"), "{}", stderr(&output));
}
