//! NATS JetStream: a queue is a stream from which jobs go when they are done, and a consumer that all workers share; a
//! job that fails is terminated.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::wire::Wire;
use crate::work::Client;

/// One connection, for one stream.
pub(crate) struct Nats {
    wire: Wire,
    stream: String,
    /// Where this connection's answers go, and how many were asked for.
    inbox: String,
    asked: u64,
}

/// The name of the consumer.
const CONSUMER: &str = "workers";
/// How long a worker waits before it asks again.
const WAIT: Duration = Duration::from_secs(5);
/// How long it has for a job before another gets it; until then those of a worker that is gone hold up the floor of
/// what is acknowledged.
const TO_RUN: Duration = Duration::from_secs(10);
/// What a stream may hold.
const BYTES: u32 = 1 << 20;

/// A message: where an answer to it goes, how it went where the server answers itself, and its content.
struct Message {
    reply: Option<String>,
    status: Option<String>,
    content: Vec<u8>,
}

/// What the server answers to a worker when there was no job for as long as it waited.
const NO_JOB: [&str; 2] = ["404", "408"];
/// What it answers when nobody listens, as where JetStream is not enabled.
const NOBODY: &str = "503";

impl Client for Nats {
    /// Where it is acknowledged.
    type Job = String;
    const PORT: u16 = 4222;

    async fn connect(address: &str, queue: &str) -> Result<Self> {
        let mut wire = Wire::connect(address).await?;
        let hello = wire.line().await?;
        ensure!(hello.starts_with("INFO "), "it begins with {hello:?}, so it is no NATS");
        let inbox = format!("_INBOX.{:016x}", fastrand::u64(..));
        let mut client = Self { wire, stream: queue.to_owned(), inbox, asked: 0 };
        let connect = json!({ "verbose": false, "name": "demo", "headers": true, "no_responders": true });
        client.wire.send(&format!("CONNECT {connect}\r\n")).await?;
        client.create().await?;
        Ok(client)
    }

    async fn add(&mut self) -> Result<()> {
        let stored = self.ask(&subject(&self.stream), "job").await?;
        well(&stored.content).context("it does not take jobs")
    }

    async fn take(&mut self) -> Result<Option<String>> {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{CONSUMER}", self.stream);
        let request = json!({ "batch": 1, "expires": nanoseconds(WAIT) });
        let message = self.ask(&next, &request.to_string()).await?;
        match message.status {
            Some(status) if !NO_JOB.iter().any(|none| status.starts_with(none)) => bail!("instead of jobs: {status}"),
            _ => Ok(message.reply),
        }
    }

    async fn settle(&mut self, job: String, well: bool) -> Result<u64> {
        self.ask(&job, if well { "+ACK" } else { "+TERM" }).await.map(|_| 0)
    }
}

impl Nats {
    /// Makes the stream and its consumer; those that are there as they should be stay.
    async fn create(&mut self) -> Result<()> {
        let stream = self.stream.clone();
        let subjects = [subject(&stream)];
        let config = json!({ "name": stream, "subjects": subjects, "retention": "workqueue", "max_bytes": BYTES });
        self.api(&format!("$JS.API.STREAM.CREATE.{stream}"), config).await?;
        let consumer = json!({
            "durable_name": CONSUMER,
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(TO_RUN),
        });
        let config = json!({ "stream_name": stream, "config": consumer });
        self.api(&format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{CONSUMER}"), config).await
    }

    async fn api(&mut self, subject: &str, request: Value) -> Result<()> {
        let answer = self.ask(subject, &request.to_string()).await?;
        well(&answer.content).with_context(|| format!("JetStream refuses {subject}"))
    }

    /// Publishes a message and waits for the first that comes back: each has a subscription of its own, so that one that
    /// comes late is not taken for another.
    async fn ask(&mut self, subject: &str, content: &str) -> Result<Message> {
        self.asked += 1;
        let (inbox, id) = (&self.inbox, self.asked);
        let subscribe = format!("SUB {inbox}.{id} {id}\r\nUNSUB {id} 1\r\n");
        let publish = format!("PUB {subject} {inbox}.{id} {}\r\n{content}\r\n", content.len());
        self.wire.send(&(subscribe + &publish)).await?;
        loop {
            let line = self.wire.line().await?;
            let words: Vec<_> = line.split(' ').collect();
            let (sid, reply, head, length) = match words[..] {
                ["MSG", _, sid, length] => (sid, None, "0", length),
                ["MSG", _, sid, reply, length] => (sid, Some(reply), "0", length),
                ["HMSG", _, sid, head, length] => (sid, None, head, length),
                ["HMSG", _, sid, reply, head, length] => (sid, Some(reply), head, length),
                ["PING"] => {
                    self.wire.send("PONG\r\n").await?;
                    continue;
                }
                ["-ERR", ..] => bail!("it says {line}"),
                _ => continue, // INFO, when its cluster changes
            };
            let number = |text: &str| text.parse::<usize>().with_context(|| format!("{line:?} has no length"));
            let (head, length) = (number(head)?, number(length)?);
            let mut message = self.wire.body(length).await?;
            ensure!(head <= length, "{line:?} has a header that is longer than all of it");
            let content = message.split_off(head);
            if sid != id.to_string() {
                continue;
            }
            let status = status(&message);
            if status.as_deref().is_some_and(|status| status.starts_with(NOBODY)) {
                bail!("nobody answers to {subject}; is JetStream enabled?");
            }
            return Ok(Message { reply: reply.map(str::to_owned), status, content });
        }
    }
}

/// What the first line of a header says: a number and perhaps what it means.
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

/// JetStream tells in the content whether it has done what it was asked.
fn well(content: &[u8]) -> Result<()> {
    let answer: Value = serde_json::from_slice(content).context("an answer that is no JSON")?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => bail!("{}", error["description"].as_str().unwrap_or("an error without a description")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jetstream_s_own_words_are_told() {
        assert!(well(br#"{"stream":"orders","seq":1}"#).is_ok());
        let refused =
            br#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}"#;
        assert_eq!(well(refused).unwrap_err().to_string(), "JetStream system temporarily unavailable");
        assert!(well(b"").is_err());
    }

    #[test]
    fn a_header_s_first_line_tells_how_it_went() {
        assert_eq!(
            status(b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n\r\n").unwrap(),
            "408 Request Timeout"
        );
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n").unwrap(), "503");
        assert_eq!(status(b"NATS/1.0\r\nTrace: a\r\n\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
