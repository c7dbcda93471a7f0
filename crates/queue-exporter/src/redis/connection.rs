//! One connection to a Redis: pipelines of commands and their replies, or a subscription.

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::commands::Commands;
use super::replies::command_error;
use super::value::{Decoder, Value};
use crate::connection::Connected;
use crate::read_error::{Reason, read_error};

pub(super) struct Connection {
    stream: Box<dyn Connected>,
    /// Data that was received and not decoded yet.
    received: BytesMut,
    decoder: Decoder,
}

/// The memory for one read of the stream.
const READ_SIZE: usize = 64 * 1024;

impl Connection {
    pub(super) fn new(stream: Box<dyn Connected>) -> Self {
        Self { stream, received: BytesMut::new(), decoder: Decoder::default() }
    }

    /// The replies to commands; a reply may be the error of one command. After any other error, or if the future is
    /// dropped, the connection must not be used again.
    pub(super) async fn query(&mut self, commands: &Commands) -> Result<Vec<Value>> {
        let Self { stream, received, decoder } = self;
        let (mut read, mut write) = tokio::io::split(stream);
        // concurrently: a proxy may stop receiving commands while no client receives the replies
        let send = async {
            write.write_all(commands.packed()).await.map_err(|error| connect_error(&error))?;
            write.flush().await.map_err(|error| connect_error(&error))
        };
        let receive = async {
            let mut replies = Vec::with_capacity(commands.len());
            while replies.len() < commands.len() {
                replies.push(next_reply(&mut read, received, decoder).await?);
            }
            Ok(replies)
        };
        tokio::try_join!(receive, send).map(|(replies, ())| replies)
    }

    /// Subscribes to patterns of channels.
    pub(super) async fn subscribe(mut self, patterns: &[String]) -> Result<Subscription> {
        let mut commands = Commands::default();
        for pattern in patterns {
            commands.add(&["PSUBSCRIBE", pattern]);
        }
        self.stream.write_all(commands.packed()).await.map_err(|error| connect_error(&error))?;
        self.stream.flush().await.map_err(|error| connect_error(&error))?;
        let mut confirmed = 0;
        // messages in between are older than the subscription to all patterns
        while confirmed < patterns.len() {
            match self.next_reply().await? {
                Value::Error(error) => return Err(command_error(&error)),
                Value::Array(items) if is(items.first(), "psubscribe") => confirmed += 1,
                _ => {}
            }
        }
        Ok(Subscription(self))
    }

    async fn next_reply(&mut self) -> Result<Value> {
        next_reply(&mut self.stream, &mut self.received, &mut self.decoder).await
    }
}

/// A connection that receives messages.
pub(crate) struct Subscription(Connection);

impl Subscription {
    /// The content of the next message.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Value::Array(mut items) = self.0.next_reply().await?
                && is(items.first(), "pmessage")
                && let Some(Value::String(message)) = items.pop()
            {
                return Ok(message);
            }
        }
    }
}

async fn next_reply(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut BytesMut,
    decoder: &mut Decoder,
) -> Result<Value> {
    loop {
        if let Some(reply) = decoder.next(received)? {
            return Ok(reply);
        }
        received.reserve(READ_SIZE);
        if stream.read_buf(received).await.map_err(|error| connect_error(&error))? == 0 {
            return Err(read_error(Reason::Connect, "the server closed the connection"));
        }
    }
}

fn is(value: Option<&Value>, text: &str) -> bool {
    matches!(value, Some(Value::String(string)) if string == text)
}

fn connect_error(error: &std::io::Error) -> anyhow::Error {
    read_error(Reason::Connect, error.to_string())
}
