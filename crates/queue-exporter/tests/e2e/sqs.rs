//! The queue system `sqs` against moto, a server that emulates AWS and verifies signatures and policies.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::process::{Command, Stdio};

use exporter_common::testing::{Running, assert_lint, command, eventually, free_port, real, value};

use crate::broker::Ended;
use crate::redis_server::client;
use crate::{SUCCESS, assert_vocabulary};

/// The number of requests of the client, which the server does not verify.
const SETUP_REQUESTS: u32 = 18;

/// A server with queues, its URL, and the key of a user that may read them. It does not verify some more requests.
fn moto(unverified: u32) -> Option<(Ended, String, [String; 2])> {
    let (server, python) = (real("moto_server")?, real("systems-python")?);
    let port = free_port();
    let mut command = Command::new(server);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    command.env("INITIAL_NO_AUTH_ACTION_COUNT", (SETUP_REQUESTS + unverified).to_string());
    let server = Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("moto accepts connections", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let url = format!("http://127.0.0.1:{port}");
    let output = client(python, &["sqs_jobs.py", &url], &[]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let (id, secret) = printed.split_once(' ').unwrap();
    Some((server, url, [id.to_owned(), secret.to_owned()]))
}

/// An exporter with these environment variables.
fn sqs(url: &str, environment: &[(&str, &str)]) -> Running {
    let mut command = command(env!("CARGO_BIN_EXE_queue-exporter"));
    command.args(["--queue.system=sqs", &format!("--queue.url={url}"), "--web.listen-address=127.0.0.1:0"]);
    // without these, a machine's own credentials could be used
    command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true").envs(environment.iter().copied());
    Running::spawn(&mut command)
}

#[test]
fn queues_are_read_with_verified_signatures() {
    let Some((_server, url, [id, secret])) = moto(0) else { return };
    let keys = [("AWS_ACCESS_KEY_ID", id.as_str()), ("AWS_SECRET_ACCESS_KEY", secret.as_str())];
    let exporter = sqs(&format!("{url}?region=eu-west-1&prefix=shop-"), &keys);
    let metrics = exporter.scrape_until("the queues are read", |metrics| metrics.contains("queue_depth{"));
    let orders = ["ready", "in_flight", "delayed"]
        .map(|state| value(&metrics, &format!("queue_messages{{queue_name=\"shop-orders\",state=\"{state}\"}}")));
    assert_eq!(orders, [4.0, 2.0, 1.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"shop-dead\"}"), Some(1.0), "{metrics}");
    assert_eq!(metrics.matches("queue_depth{").count(), 2, "{metrics}");
    let info =
        "queue_info{backend=\"sqs\",dead_letter_queue=\"shop-dead\",max_receives=\"3\",queue_name=\"shop-orders\"}";
    assert_eq!(value(&metrics, info), Some(1.0), "{metrics}");
    let age = "queue_exporter_metric_origin{metric=\"queue_oldest_message_age_seconds\",origin=\"unavailable\"}";
    assert_eq!(value(&metrics, age), Some(1.0), "only CloudWatch has it: {metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // the same key from the shared file
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let text = format!("[shop]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let exporter =
        sqs(&format!("{url}?region=eu-west-1"), &[("AWS_SHARED_CREDENTIALS_FILE", file), ("AWS_PROFILE", "shop")]);
    let metrics = exporter.scrape_until("the queues are read", |metrics| metrics.contains("queue_depth{"));
    assert_eq!(metrics.matches("queue_depth{").count(), 3, "{metrics}");
    // a wrong secret
    let exporter = sqs(&format!("{url}?region=eu-west-1"), &[keys[0], ("AWS_SECRET_ACCESS_KEY", "wrong")]);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(value(&metrics, "queue_exporter_source_errors_total{reason=\"auth\"}") >= Some(1.0), "{metrics}");
    assert!(exporter.log().contains("status 403") && !exporter.log().contains("wrong"), "{}", exporter.log());
}

#[test]
fn a_web_identity_is_exchanged_for_credentials() {
    // the exchange is not signed
    let Some((_server, url, _)) = moto(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "the token of a service account\n").unwrap();
    let identity = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/exporter"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", &url),
    ];
    let exporter = sqs(&format!("{url}?region=eu-west-1"), &identity);
    let metrics = exporter.scrape_until("the queues are read", |metrics| metrics.contains("queue_depth{"));
    assert_eq!(metrics.matches("queue_depth{").count(), 3, "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
}
