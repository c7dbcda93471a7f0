//! Redis Sentinel: servers that know where the master is, whichever Redis it is now.

use std::time::Duration;

use anyhow::{Context, Result};
use exporter_common::UsageError;
use redis::{Pipeline, Value};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fault::{Reason, fault};
use crate::redis::{add, list, refusal, text};
use crate::server::{Address, start};

pub(crate) struct Sentinel {
    /// What the master is called.
    master: String,
    /// Who is asked, in turn until one answers.
    servers: Vec<Address>,
}

/// How long one may take, so that there is time for the others.
const PATIENCE: Duration = Duration::from_secs(1);

impl Sentinel {
    /// From the host and the port of a URL and its parameters.
    pub(crate) fn new(first: Address, master: Option<String>, others: Vec<Address>) -> Result<Self> {
        let master = master.ok_or_else(|| UsageError::new("--queue.url: name the master with ?master=…"))?;
        Ok(Self { master, servers: [first].into_iter().chain(others).collect() })
    }

    /// Where the master is.
    pub(crate) async fn master(&self) -> Result<Address> {
        let mut last = None;
        for server in &self.servers {
            let late = |_| fault(Reason::Timeout, "no answer");
            let answer = timeout(PATIENCE, self.ask(server)).await.map_err(late).and_then(|answer| answer);
            match answer.with_context(|| format!("Sentinel at {}:{}", server.0, server.1)) {
                Ok(master) => return Ok(master),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| fault(Reason::Connect, "there is no Sentinel")))
    }

    async fn ask(&self, (host, port): &Address) -> Result<Address> {
        let broken = |error: &dyn std::fmt::Display| fault(Reason::Connect, error.to_string());
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| broken(&error))?;
        let mut connection = start(stream).await.map_err(|error| broken(&error))?;
        let mut commands = Pipeline::new();
        add(&mut commands, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.master]);
        let replies = connection.send_packed_commands(&commands, 0, 1).await.map_err(|error| broken(&error))?;
        let reply = replies.first().unwrap_or(&Value::Nil);
        if let Value::ServerError(error) = reply {
            return Err(refusal(error));
        }
        let [host, port] = list(reply)? else {
            return Err(fault(Reason::Protocol, format!("it knows no master {:?}", self.master)));
        };
        let port = text(port)?.and_then(|port| port.parse().ok()).context("the master has no port")?;
        Ok((text(host)?.context("the master has no host")?.to_owned(), port))
    }
}
