//! A connection of lines, some of which a body follows: what NATS and beanstalkd have in common.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a broker may take for anything, waiting for a job included.
const PATIENCE: Duration = Duration::from_secs(10);
/// No line and no body of these brokers is longer: the first line of a NATS in a large cluster is.
const LONGEST: usize = 64 << 10;

/// A connection with a broker.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.context("it does not answer")??;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends what ends with a line's end.
    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        timeout(PATIENCE, self.0.write_all(text.as_bytes())).await.context("it does not read")??;
        Ok(())
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let mut reader = (&mut self.0).take(LONGEST as u64);
        timeout(PATIENCE, reader.read_line(&mut line)).await.context("it does not answer")??;
        ensure!(line.ends_with('\n'), "it has closed the connection");
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// The body of that many bytes which follows a line.
    pub(crate) async fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        ensure!(length <= LONGEST, "it sends {length} bytes at once");
        let mut body = vec![0; length + 2];
        timeout(PATIENCE, self.0.read_exact(&mut body)).await.context("it does not answer")??;
        body.truncate(length);
        Ok(body)
    }
}
