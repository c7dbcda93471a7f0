//! Redis Sentinel: queries the Sentinels for the current address of the primary.

use crate::connection::Address;
use std::time::Duration;

use anyhow::{Context, Result};
use exporter_common::UsageError;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::commands::Commands;
use super::connection::Connection;
use super::replies::{command_error, list, text};
use super::value::Value;
use crate::read_error::{Reason, read_error};

#[derive(Clone)]
pub(super) struct Sentinel {
    /// The name under which the Sentinels monitor the primary.
    master: String,
    /// Queried in this order until one responds.
    servers: Vec<Address>,
}

/// How long one Sentinel may take, which leaves time for the others.
const SENTINEL_TIMEOUT: Duration = Duration::from_secs(1);

impl Sentinel {
    /// From the host and the port of a URL and its parameters.
    pub(super) fn new(first: Address, master: Option<String>, others: Vec<Address>) -> Result<Self> {
        let master =
            master.ok_or_else(|| UsageError::new("--queue.url: the master's name is missing: add ?master=…"))?;
        Ok(Self { master, servers: [first].into_iter().chain(others).collect() })
    }

    /// The address of the primary.
    pub(super) async fn primary(&self) -> Result<Address> {
        let mut last_error = None;
        for server in &self.servers {
            let late = |_| read_error(Reason::Timeout, "no response");
            let reply = timeout(SENTINEL_TIMEOUT, self.query(server)).await.map_err(late).and_then(|reply| reply);
            match reply.with_context(|| format!("Sentinel at {}:{}", server.0, server.1)) {
                Ok(primary) => return Ok(primary),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| read_error(Reason::Connect, "no Sentinel is configured")))
    }

    async fn query(&self, (host, port): &Address) -> Result<Address> {
        let failed = |error: &dyn std::fmt::Display| read_error(Reason::Connect, error.to_string());
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| failed(&error))?;
        let mut connection = Connection::new(Box::new(stream));
        let mut commands = Commands::default();
        commands.add(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.master]);
        let reply = connection.query(&commands).await?.pop().unwrap_or_default();
        if let Value::Error(error) = &reply {
            return Err(command_error(error));
        }
        let [host, port] = list(&reply)? else {
            return Err(read_error(Reason::Protocol, format!("unknown master {:?}", self.master)));
        };
        let port = text(port)?.and_then(|port| port.parse().ok()).context("the master's port is missing")?;
        Ok((text(host)?.context("the master's host is missing")?.to_owned(), port))
    }
}
