//! A connection with a line protocol and bodies, as used by NATS and beanstalkd.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of each operation, including the wait for a job.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Size limit of lines and bodies. The longest is the first line of NATS in a large cluster.
const MAX_LENGTH: usize = 64 << 10;

/// A connection to a broker.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self> {
        let stream = timeout(TIMEOUT, TcpStream::connect(address)).await.context("the broker does not respond")??;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one or more lines.
    pub(super) async fn send(&mut self, text: &str) -> Result<()> {
        timeout(TIMEOUT, self.0.write_all(text.as_bytes())).await.context("the broker does not read")??;
        Ok(())
    }

    /// Receives the next line, without its line ending.
    pub(super) async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let mut reader = (&mut self.0).take(MAX_LENGTH as u64);
        timeout(TIMEOUT, reader.read_line(&mut line)).await.context("the broker does not respond")??;
        ensure!(line.ends_with('\n'), "the broker closed the connection");
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Receives the body that follows a line.
    pub(super) async fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        ensure!(length <= MAX_LENGTH, "the body of {length} bytes exceeds the limit of {MAX_LENGTH}");
        let mut body = vec![0; length + 2];
        timeout(TIMEOUT, self.0.read_exact(&mut body)).await.context("the broker does not respond")??;
        body.truncate(length);
        Ok(body)
    }
}
