//! beanstalkd: a queue is a tube; a job that fails is buried.

use anyhow::{Context, Result, bail, ensure};

use crate::wire::Wire;
use crate::work::Client;

/// One connection, which uses and watches one tube.
pub(crate) struct Beanstalk {
    wire: Wire,
    buried: u32,
}

/// How long a worker waits before it asks again, and has for a job before another gets it, in seconds.
const WAIT: u32 = 5;
const TO_RUN: u32 = 60;
/// After so many that were buried as many are kicked: worked on again, since nobody else looks after them.
const KICK: u32 = 20;

impl Client for Beanstalk {
    type Job = String;
    const PORT: u16 = 11300;

    async fn connect(address: &str, queue: &str) -> Result<Self> {
        let mut client = Self { wire: Wire::connect(address).await?, buried: 0 };
        client.ask(&format!("use {queue}"), "USING").await?;
        client.ask(&format!("watch {queue}"), "WATCHING").await?;
        client.ask("ignore default", "WATCHING").await?;
        Ok(client)
    }

    async fn add(&mut self) -> Result<()> {
        self.ask(&format!("put 1024 0 {TO_RUN} 3\r\njob"), "INSERTED").await.map(|_| ())
    }

    async fn take(&mut self) -> Result<Option<String>> {
        self.wire.send(&format!("reserve-with-timeout {WAIT}\r\n")).await?;
        let answer = self.wire.line().await?;
        let words: Vec<_> = answer.split(' ').collect();
        match words[..] {
            ["RESERVED", id, length] => {
                self.wire.body(length.parse().with_context(|| format!("{answer:?} has no length"))?).await?;
                Ok(Some(id.to_owned()))
            }
            ["TIMED_OUT" | "DEADLINE_SOON"] => Ok(None),
            _ => bail!("to reserve it answers {answer:?}"),
        }
    }

    async fn settle(&mut self, id: String, well: bool) -> Result<u64> {
        if well {
            self.ask(&format!("delete {id}"), "DELETED").await?;
            return Ok(0);
        }
        self.ask(&format!("bury {id} 1024"), "BURIED").await?;
        self.buried += 1;
        if !self.buried.is_multiple_of(KICK) {
            return Ok(0);
        }
        let kicked = self.ask(&format!("kick {KICK}"), "KICKED").await?;
        kicked.parse().with_context(|| format!("it has kicked {kicked:?} jobs"))
    }
}

impl Beanstalk {
    /// Sends a command and makes sure that it is answered by this word; what follows it.
    async fn ask(&mut self, command: &str, expected: &str) -> Result<String> {
        self.wire.send(&format!("{command}\r\n")).await?;
        let answer = self.wire.line().await?;
        let command = command.split(' ').next().unwrap_or_default();
        let (word, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        ensure!(word == expected, "to {command} it answers {answer:?}");
        Ok(rest.to_owned())
    }
}
