//! Sockets that send a page without HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Config, SUCCESS, config_text, is_up, program, stderr};
use exporter_common::testing::{Running, eventually, value};

/// A socket whose connections are handled one after the other.
fn serve(handle: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(handle));
    url
}

fn request(stream: &mut impl Read) -> String {
    let mut request = String::new();
    stream.read_to_string(&mut request).unwrap();
    request
}

fn failures(metrics: &str, reason: &str) -> Option<f64> {
    value(metrics, &format!("app_status_failures_total{{reason=\"{reason}\"}}"))
}

#[test]
fn a_socket_that_sends_immediately_is_read_to_its_end() {
    let url = serve(|mut stream| {
        for part in ["{\"up\"", ": 1}"] {
            stream.write_all(part.as_bytes()).unwrap();
        }
    });
    let output = Config::new("").once(&url);
    assert!(is_up(&output), "{}", stderr(&output));
}

#[test]
fn the_body_of_the_configuration_is_sent_as_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = request(&mut stream);
        stream.write_all(b"{\"up\": 1}\n").unwrap();
        request
    });
    let output = Config::new("    body: {content: show info json}\n").once(&format!("socket:{}", path.display()));
    assert!(is_up(&output), "{}", stderr(&output));
    assert_eq!(served.join().unwrap(), "show info json\n");
}

#[test]
fn each_request_of_a_metric_is_a_page_and_one_that_hangs_affects_no_other() {
    let hanging = Arc::new(Mutex::new(Vec::new()));
    let held = hanging.clone();
    let url = serve(move |mut stream| match request(&mut stream).as_str() {
        "hang\n" => {
            stream.write_all(b"{}").unwrap();
            held.lock().unwrap().push(stream);
        }
        "depth\n" => stream.write_all(b"{\"depth\": 3}").unwrap(),
        "status\n" => stream.write_all(b"{\"up\": 1}").unwrap(),
        other => panic!("{other}"),
    });
    let config = Config::new("");
    let metrics = "    - {name: depth, url: depth, path: '{.depth}'}\n    - {name: slow, url: hang, path: '{.x}'}\n    \
                   body: {content: status}\n";
    config.write("config.yml", &config_text(metrics, "up"));
    let exporter = Running::spawn(
        program().args(["--web.listen-address=127.0.0.1:0", "--scrape.timeout=200ms"]).args(config.flags(&url)),
    );
    let open = || std::fs::read_dir(format!("/proc/{}/fd", exporter.pid())).unwrap().count();
    let mut before = None;
    for _ in 0..10 {
        let metrics = exporter.scrape();
        assert_eq!((value(&metrics, "up"), value(&metrics, "depth")), (Some(1.0), Some(3.0)), "{metrics}");
        for (page, success) in [(url.as_str(), 1.0), ("depth", 1.0), ("hang", 0.0)] {
            let series = format!("app_status_page_success{{page=\"{page}\"}}");
            assert_eq!(value(&metrics, &series), Some(success), "{page}\n{metrics}");
        }
        let limit = *before.get_or_insert_with(open) + 2;
        assert!(open() <= limit, "connections that hang are closed");
    }
    // a connection that was closed at the time limit accepts no response
    for mut stream in hanging.lock().unwrap().drain(..) {
        eventually("the connection is closed", || stream.write_all(b" ").is_err().then_some(()));
    }
    assert!(exporter.log().contains("(hang): no complete response within"), "{}", exporter.log());
    let hint = ": 2 bytes have arrived, but the other side did not close the connection";
    assert!(exporter.log().contains(hint), "{}", exporter.log());
}

#[test]
fn failures_of_sockets_have_the_reasons_of_pages_over_http() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp://{}", listener.local_addr().unwrap())
    };
    let big = serve(|mut stream| {
        let _ = stream.write_all(&[b' '; 1 << 16]);
    });
    let reset = serve(|mut stream| {
        stream.write_all(b"{\"up\"").unwrap();
        let mut byte = [0];
        // closing with unread data resets the connection
        assert_eq!(stream.peek(&mut byte).unwrap(), 1);
    });
    let empty = serve(|mut stream| drop(request(&mut stream)));
    for (url, reason, message) in [
        (closed.as_str(), "connect", ": cannot connect: Connection refused"),
        ("socket:/nowhere/app.sock", "connect", "socket:/nowhere/app.sock: cannot connect: No such file or directory"),
        (&big, "too_large", ": the page is larger than 10000 bytes"),
        (
            &reset,
            "answer",
            ": the response is truncated: Connection reset by peer (os error 104); if the application expects no request",
        ),
        (&empty, "not_json", ": the page is empty"),
    ] {
        let config = Config::new("    body_size_limit: 10000B\n    body: {content: status}\n");
        let exporter = config.start(url);
        let metrics = exporter.scrape();
        assert_eq!((value(&metrics, SUCCESS), value(&metrics, "up")), (Some(0.0), None), "{url}");
        assert!(failures(&metrics, reason) > Some(0.0), "{reason}: {metrics}");
        eventually("the failure is logged", || exporter.log().contains(message).then_some(()));
    }
}

#[test]
fn settings_of_http_are_refused_for_sockets() {
    for module in [
        "    headers: {X-A: b}\n",
        "    valid_status_codes: [200]\n",
        "    http_client_config: {bearer_token: s3cret}\n",
        "    http_client_config: {tls_config: {insecure_skip_verify: true}}\n",
    ] {
        let output = program().arg("--check").args(Config::new(module).flags("tcp://127.0.0.1:9")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{module}");
        let expected = "tcp://127.0.0.1:9 has no HTTP: remove http_client_config, headers and valid_status_codes";
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
