//! Client of beanstalkd: a queue is a tube; failed jobs are buried.

use anyhow::{Context, Result, bail, ensure};

use super::client::Client;
use super::connection::Connection;

/// A connection that uses and watches one tube.
pub(crate) struct Beanstalkd {
    connection: Connection,
    buried: u32,
}

/// Time to wait for a job, in seconds.
const WAIT: u32 = 5;
/// Time to process a job before another worker gets it, in seconds.
const TIME_TO_RUN: u32 = 60;
/// After each N buried jobs, N are kicked: nothing else requeues them.
const KICK: u32 = 20;

impl Client for Beanstalkd {
    type Job = String;
    const PORT: u16 = 11300;

    async fn connect(address: &str, queue: &str) -> Result<Self> {
        let mut client = Self { connection: Connection::open(address).await?, buried: 0 };
        client.command(&format!("use {queue}"), "USING").await?;
        client.command(&format!("watch {queue}"), "WATCHING").await?;
        client.command("ignore default", "WATCHING").await?;
        Ok(client)
    }

    async fn add(&mut self) -> Result<()> {
        self.command(&format!("put 1024 0 {TIME_TO_RUN} 3\r\njob"), "INSERTED").await.map(|_| ())
    }

    async fn take(&mut self) -> Result<Option<String>> {
        self.connection.send(&format!("reserve-with-timeout {WAIT}\r\n")).await?;
        let response = self.connection.line().await?;
        let words: Vec<_> = response.split(' ').collect();
        match words[..] {
            ["RESERVED", id, length] => {
                self.connection
                    .body(length.parse().with_context(|| format!("invalid length in {response:?}"))?)
                    .await?;
                Ok(Some(id.to_owned()))
            }
            ["TIMED_OUT" | "DEADLINE_SOON"] => Ok(None),
            _ => bail!("unexpected response to reserve: {response:?}"),
        }
    }

    async fn settle(&mut self, id: String, succeeded: bool) -> Result<u64> {
        if succeeded {
            self.command(&format!("delete {id}"), "DELETED").await?;
            return Ok(0);
        }
        self.command(&format!("bury {id} 1024"), "BURIED").await?;
        self.buried += 1;
        if !self.buried.is_multiple_of(KICK) {
            return Ok(0);
        }
        let kicked = self.command(&format!("kick {KICK}"), "KICKED").await?;
        kicked.parse().with_context(|| format!("invalid number of kicked jobs: {kicked:?}"))
    }
}

impl Beanstalkd {
    /// Sends a command and returns the rest of the response after the expected word.
    async fn command(&mut self, command: &str, expected: &str) -> Result<String> {
        self.connection.send(&format!("{command}\r\n")).await?;
        let response = self.connection.line().await?;
        let command = command.split(' ').next().unwrap_or_default();
        let (word, rest) = response.split_once(' ').unwrap_or((&response, ""));
        ensure!(word == expected, "unexpected response to {command}: {response:?}");
        Ok(rest.to_owned())
    }
}
