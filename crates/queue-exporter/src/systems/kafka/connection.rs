//! One connection to a broker: the start of a session, and requests with their responses.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::errors::check;
use super::messages::{Api, ApiVersions, Request, SaslAuthenticate, SaslHandshake};
use super::sasl::{self, Mechanism, Scram};
use super::wire::{Reader, Writer};
use crate::connection::{Connected, Credentials, connect};
use crate::read_error::{Reason, read_error};

/// How connections to all brokers of a cluster start.
pub(super) struct BrokerSettings {
    pub(super) tls: Option<TlsConnector>,
    pub(super) credentials: Option<Credentials>,
    pub(super) mechanism: Mechanism,
}

pub(super) struct Connection {
    stream: Box<dyn Connected>,
    /// The versions that the broker accepts: key, smallest and largest.
    versions: Vec<(i16, i16, i16)>,
    last_id: i32,
}

/// The largest response that is kept. The partitions of a cluster with 100,000 of them take 6 MB.
const MAX_RESPONSE: usize = 8 << 20;

/// What one read of all queues may use: bytes of responses, or requests. Parsed responses are larger by a small factor.
pub(super) struct Budget {
    total: usize,
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(total: usize) -> Self {
        Self { total, left: AtomicUsize::new(total) }
    }

    /// As many as are left, at most `wanted`.
    pub(super) fn grant(&self, wanted: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(wanted));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_or(0, |left| left.min(wanted))
    }

    fn take(&self, bytes: usize) -> Result<()> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        let text = || format!("the responses of all brokers exceed {} MB", self.total >> 20);
        taken.map(drop).map_err(|_| read_error(Reason::Partial, text()))
    }
}

const CLIENT_ID: &str = "queue-exporter";

impl Connection {
    pub(super) async fn open(host: &str, port: u16, settings: &BrokerSettings) -> Result<Self> {
        let server = format!("Kafka at {host}:{port}");
        let stream = connect((host.to_owned(), port), settings.tls.as_ref(), &server).await?;
        let versions = vec![(ApiVersions::API.key, 0, 0)]; // every broker accepts version 0
        let mut connection = Self { stream, versions, last_id: 0 };
        let supported = connection.request(ApiVersions).await.with_context(|| format!("cannot connect to {server}"))?;
        check(supported.error).with_context(|| format!("cannot connect to {server}"))?;
        connection.versions = supported.ranges;
        if let Some(credentials) = &settings.credentials {
            let failed = || format!("cannot authenticate at {server}");
            connection.authenticate(credentials, settings.mechanism).await.with_context(failed)?;
        }
        Ok(connection)
    }

    async fn authenticate(&mut self, credentials: &Credentials, mechanism: Mechanism) -> Result<()> {
        let name = mechanism.name();
        let (error, offered) = self.request(SaslHandshake(name)).await?;
        check(error).with_context(|| {
            let offered = if offered.is_empty() { "no other".to_owned() } else { offered.join(", ") };
            format!("the broker does not offer the mechanism {name}; it offers {offered}: set ?mechanism=…")
        })?;
        let (username, password) = credentials.current();
        if mechanism == Mechanism::Plain {
            self.exchange(sasl::plain(username, &password)).await?;
            return Ok(());
        }
        let (scram, first) = Scram::start(mechanism, username)?;
        let server_first = self.exchange(first).await?;
        let denied = |error: Error| read_error(Reason::Auth, format!("{error:#}"));
        let (last, expected) = scram.finish(&server_first, &password).map_err(denied)?;
        sasl::verify(&self.exchange(last).await?, &expected).map_err(denied)
    }

    async fn exchange(&mut self, message: Vec<u8>) -> Result<Vec<u8>> {
        let (error, text, message) = self.request(SaslAuthenticate(message)).await?;
        let hint = || {
            let text = text.as_deref().unwrap_or("the broker refused the credentials");
            format!("{text}: check --queue.username and --queue.password-file")
        };
        check(error).with_context(hint)?;
        Ok(message)
    }

    /// Whether the broker has this kind of request.
    pub(super) fn supports(&self, api: &Api) -> bool {
        self.version(api).is_ok()
    }

    /// The largest version that both sides know.
    fn version(&self, api: &Api) -> Result<i16> {
        let Api { key, name, min, max } = api;
        let range = self.versions.iter().find(|(known, ..)| known == key);
        let Some((_, smallest, largest)) = range else {
            return Err(read_error(Reason::Protocol, format!("the broker does not support the request {name}")));
        };
        let version = *max.min(largest);
        if version < *min || version < *smallest {
            let text = format!(
                "the broker supports versions {smallest} to {largest} of the request {name}, and the exporter {min} to {max}"
            );
            return Err(read_error(Reason::Protocol, text));
        }
        Ok(version)
    }

    async fn request<R: Request>(&mut self, request: R) -> Result<R::Response> {
        let mut responses = self.call(&[request], &Budget::new(MAX_RESPONSE)).await?;
        responses.pop().context("no response")?
    }

    /// Sends requests of one kind without waiting in between, and returns their responses in this order.
    pub(super) async fn call<R: Request>(
        &mut self,
        requests: &[R],
        budget: &Budget,
    ) -> Result<Vec<Result<R::Response>>> {
        let version = self.version(&R::API)?;
        let first_id = self.last_id.wrapping_add(1);
        let mut frames = Vec::new();
        for request in requests {
            self.last_id = self.last_id.wrapping_add(1);
            write_frame(request, version, self.last_id, &mut frames);
        }
        let (mut from, mut to) = tokio::io::split(&mut self.stream);
        let send = async {
            to.write_all(&frames).await.map_err(|error| broken(&error))?;
            to.flush().await.map_err(|error| broken(&error))
        };
        let receive = async {
            let mut responses = Vec::with_capacity(requests.len());
            for (at, request) in requests.iter().enumerate() {
                let response = read_frame(&mut from, budget, R::READS_BEGINNING).await?;
                let mut reader = Reader(&response);
                let expected = first_id.wrapping_add(i32::try_from(at)?);
                if reader.i32().ok() != Some(expected) {
                    return Err(read_error(Reason::Protocol, "an unexpected response: is this a broker of Kafka?"));
                }
                responses.push(request.read(version, &mut reader).with_context(|| R::API.name));
            }
            Ok(responses)
        };
        let ((), responses) = tokio::try_join!(send, receive)?;
        Ok(responses)
    }
}

/// The length, the header and the body of a request.
fn write_frame<R: Request>(request: &R, version: i16, id: i32, frames: &mut Vec<u8>) {
    let mut to = Writer::default();
    to.i16(R::API.key);
    to.i16(version);
    to.i32(id);
    to.string(CLIENT_ID);
    request.write(version, &mut to);
    let mut frame = Writer(std::mem::take(frames));
    frame.bytes(&to.0);
    *frames = frame.0;
}

/// A response without its length, or the beginning of one that is too large. Memory is allocated as data arrives.
async fn read_frame(from: &mut (impl AsyncReadExt + Unpin), budget: &Budget, reads_beginning: bool) -> Result<Vec<u8>> {
    let length = from.read_i32().await.map_err(|error| broken(&error))?;
    let is_accepted = |length: &usize| *length <= MAX_RESPONSE || reads_beginning;
    let Some(length) = usize::try_from(length).ok().filter(is_accepted) else {
        let text = format!(
            "a response of {length} bytes: this is not a broker of Kafka, its port needs kafka+ssl://, or the response \
             exceeds {} MB",
            MAX_RESPONSE >> 20
        );
        return Err(read_error(Reason::Protocol, text));
    };
    budget.take(length)?;
    let kept = length.min(MAX_RESPONSE);
    let mut response = Vec::with_capacity(length.min(1 << 16));
    let mut frame = from.take(length as u64);
    (&mut frame).take(kept as u64).read_to_end(&mut response).await.map_err(|error| broken(&error))?;
    tokio::io::copy(&mut frame, &mut tokio::io::sink()).await.map_err(|error| broken(&error))?;
    if frame.limit() > 0 {
        return Err(broken(&std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(response)
}

fn broken(error: &std::io::Error) -> Error {
    let text = match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
            "the broker closed the connection: does its port need kafka+ssl://, or credentials?".to_owned()
        }
        _ => error.to_string(),
    };
    read_error(Reason::Connect, text)
}
