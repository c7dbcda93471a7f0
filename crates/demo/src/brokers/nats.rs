//! Client of NATS JetStream: a queue is a work-queue stream with a consumer shared by all workers; failed jobs are
//! terminated.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::connection::Connection;

/// A connection used for one stream.
pub(crate) struct Nats {
    connection: Connection,
    stream: String,
    /// Subject prefix of replies to this connection.
    inbox: String,
    /// Number of requests sent.
    requests: u64,
}

/// The name of the consumer.
const CONSUMER: &str = "workers";
/// Time to wait for a job.
const WAIT: Duration = Duration::from_secs(5);
/// Time to process a job before another worker gets it. Jobs of a worker that crashed block the acknowledgment floor
/// until then.
const ACK_WAIT: Duration = Duration::from_secs(10);
/// Size limit of a stream.
const MAX_BYTES: u32 = 1 << 20;

/// A message.
struct Message {
    /// Subject for a reply.
    reply: Option<String>,
    /// Status of a response from the server itself.
    status: Option<String>,
    content: Vec<u8>,
}

/// Statuses of a response when no job arrived in time.
const NO_JOB: [&str; 2] = ["404", "408"];
/// Status of a response when the subject has no responders, for example if JetStream is disabled.
const NO_RESPONDERS: &str = "503";

impl Client for Nats {
    /// The subject for acknowledgments.
    type Job = String;
    const PORT: u16 = 4222;

    async fn connect(address: &str, queue: &str) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let greeting = connection.line().await?;
        ensure!(greeting.starts_with("INFO "), "not a NATS server: its greeting was {greeting:?}");
        let inbox = format!("_INBOX.{:016x}", fastrand::u64(..));
        let mut client = Self { connection, stream: queue.to_owned(), inbox, requests: 0 };
        let connect = json!({ "verbose": false, "name": "demo", "headers": true, "no_responders": true });
        client.connection.send(&format!("CONNECT {connect}\r\n")).await?;
        client.create().await?;
        Ok(client)
    }

    async fn add(&mut self) -> Result<()> {
        let stored = self.request(&subject(&self.stream), "job").await?;
        check_response(&stored.content).context("JetStream rejected the job")
    }

    async fn take(&mut self) -> Result<Option<String>> {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{CONSUMER}", self.stream);
        let request = json!({ "batch": 1, "expires": nanoseconds(WAIT) });
        let message = self.request(&next, &request.to_string()).await?;
        match message.status {
            Some(status) if !NO_JOB.iter().any(|none| status.starts_with(none)) => {
                bail!("unexpected status instead of a job: {status}")
            }
            _ => Ok(message.reply),
        }
    }

    async fn settle(&mut self, job: String, succeeded: bool) -> Result<u64> {
        self.request(&job, if succeeded { "+ACK" } else { "+TERM" }).await.map(|_| 0)
    }
}

impl Nats {
    /// Creates the stream and its consumer unless they exist with the same configuration.
    async fn create(&mut self) -> Result<()> {
        let stream = self.stream.clone();
        let subjects = [subject(&stream)];
        let config = json!({ "name": stream, "subjects": subjects, "retention": "workqueue", "max_bytes": MAX_BYTES });
        self.api(&format!("$JS.API.STREAM.CREATE.{stream}"), config).await?;
        let consumer = json!({
            "durable_name": CONSUMER,
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(ACK_WAIT),
        });
        let config = json!({ "stream_name": stream, "config": consumer });
        self.api(&format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{CONSUMER}"), config).await
    }

    async fn api(&mut self, subject: &str, request: Value) -> Result<()> {
        let response = self.request(subject, &request.to_string()).await?;
        check_response(&response.content).with_context(|| format!("JetStream refused {subject}"))
    }

    /// Publishes a message and waits for the response. Each request has its own subscription, so that a late response
    /// cannot be mistaken for another one.
    async fn request(&mut self, subject: &str, content: &str) -> Result<Message> {
        self.requests += 1;
        let (inbox, id) = (&self.inbox, self.requests);
        let subscribe = format!("SUB {inbox}.{id} {id}\r\nUNSUB {id} 1\r\n");
        let publish = format!("PUB {subject} {inbox}.{id} {}\r\n{content}\r\n", content.len());
        self.connection.send(&(subscribe + &publish)).await?;
        loop {
            let line = self.connection.line().await?;
            let words: Vec<_> = line.split(' ').collect();
            let (sid, reply, head, length) = match words[..] {
                ["MSG", _, sid, length] => (sid, None, "0", length),
                ["MSG", _, sid, reply, length] => (sid, Some(reply), "0", length),
                ["HMSG", _, sid, head, length] => (sid, None, head, length),
                ["HMSG", _, sid, reply, head, length] => (sid, Some(reply), head, length),
                ["PING"] => {
                    self.connection.send("PONG\r\n").await?;
                    continue;
                }
                ["-ERR", ..] => bail!("server error: {line}"),
                _ => continue, // INFO, when its cluster changes
            };
            let number = |text: &str| text.parse::<usize>().with_context(|| format!("invalid length in {line:?}"));
            let (head, length) = (number(head)?, number(length)?);
            let mut message = self.connection.body(length).await?;
            ensure!(head <= length, "header longer than the message in {line:?}");
            let content = message.split_off(head);
            if sid != id.to_string() {
                continue;
            }
            let status = status(&message);
            if status.as_deref().is_some_and(|status| status.starts_with(NO_RESPONDERS)) {
                bail!("no responders for {subject}: is JetStream enabled on this server?");
            }
            return Ok(Message { reply: reply.map(str::to_owned), status, content });
        }
    }
}

/// The status in the first line of the headers, a number and an optional description.
fn status(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let status = head.lines().next()?.strip_prefix("NATS/1.0")?.trim();
    (!status.is_empty()).then(|| status.to_owned())
}

fn subject(stream: &str) -> String {
    format!("jobs.{stream}")
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000
}

/// Fails if the content of a JetStream response contains an error.
fn check_response(content: &[u8]) -> Result<()> {
    let response: Value = serde_json::from_slice(content).context("the response is not JSON")?;
    match response.get("error") {
        None => Ok(()),
        Some(error) => bail!("{}", error["description"].as_str().unwrap_or("error without a description")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_description_of_jetstream_is_returned() {
        assert!(check_response(br#"{"stream":"orders","seq":1}"#).is_ok());
        let refused =
            br#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}"#;
        assert_eq!(check_response(refused).unwrap_err().to_string(), "JetStream system temporarily unavailable");
        assert!(check_response(b"").is_err());
    }

    #[test]
    fn the_status_is_in_the_first_header_line() {
        assert_eq!(
            status(b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n\r\n").unwrap(),
            "408 Request Timeout"
        );
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n").unwrap(), "503");
        assert_eq!(status(b"NATS/1.0\r\nTrace: a\r\n\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
