//! The brokers of a cluster, with one persistent connection to each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, bail};
use exporter_common::duration;
use tokio::time::{Instant, timeout_at};

use super::connection::{BrokerSettings, Budget, Connection};
use super::messages::{Metadata, MetadataRequest, Request};
use crate::connection::{Address, Credentials};
use crate::read_error::{Reason, read_error, reason};

pub(super) struct Cluster {
    settings: BrokerSettings,
    /// Brokers to query for the addresses of all others.
    bootstrap: Vec<Arc<Node>>,
    /// The brokers of the last metadata, by id.
    brokers: Mutex<Brokers>,
}

pub(super) type Brokers = BTreeMap<i32, Arc<Node>>;

/// A broker at its address.
pub(super) struct Node {
    address: Address,
    /// Taken by requests, and returned if they succeed: abandoned requests leave unread responses.
    connection: tokio::sync::Mutex<Option<Connection>>,
}

/// The largest number of brokers, each with a connection.
const MAX_BROKERS: usize = 1000;

/// Until when something must be read, and how large it may be.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) until: Instant,
    pub(super) budget: &'a Budget,
}

impl Limits<'_> {
    /// The end of the next step: half of the rest, so that the steps behind one that hangs have time.
    pub(super) fn next_step(self) -> Instant {
        let now = Instant::now();
        now + self.until.saturating_duration_since(now) / 2
    }
}

impl Cluster {
    pub(super) fn new(bootstrap: Vec<Address>, settings: BrokerSettings) -> Self {
        let bootstrap = bootstrap.into_iter().map(Node::new).collect();
        Self { settings, bootstrap, brokers: Mutex::default() }
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.settings.credentials.as_ref()
    }

    /// The topics, from the first broker that responds, and all brokers.
    pub(super) async fn metadata(&self, limits: Limits<'_>) -> Result<(Metadata, Brokers)> {
        let known: Vec<_> = self.known().values().cloned().collect();
        let mut first_error = None;
        for node in self.bootstrap.iter().chain(&known) {
            match self.call(node, &[MetadataRequest], limits).await.and_then(one) {
                Ok(metadata) => {
                    let brokers = self.update(&metadata)?;
                    return Ok((metadata, brokers));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.context("no broker is configured")?)
    }

    /// Keeps the brokers whose addresses are the same, with their connections.
    fn update(&self, metadata: &Metadata) -> Result<Brokers> {
        if metadata.brokers.is_empty() || metadata.brokers.len() > MAX_BROKERS {
            bail!("the metadata has {} brokers: expected 1 to {MAX_BROKERS}", metadata.brokers.len());
        }
        let mut known = self.known();
        let brokers = metadata.brokers.iter().map(|broker| {
            let address = (broker.host.clone(), broker.port);
            let mut nodes = known.values().chain(&self.bootstrap);
            let node = nodes.find(|node| node.address == address).cloned();
            (broker.id, node.unwrap_or_else(|| Node::new(address)))
        });
        *known = brokers.collect();
        Ok(known.clone())
    }

    fn known(&self) -> MutexGuard<'_, Brokers> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the broker has this kind of request, which is known after other requests.
    pub(super) async fn supports<R: Request>(&self, node: &Node) -> bool {
        node.connection.lock().await.as_ref().is_some_and(|connection| connection.supports(&R::API))
    }

    /// Sends requests of one kind to a broker, and returns their responses in this order.
    pub(super) async fn call<R: Request>(
        &self,
        node: &Node,
        requests: &[R],
        limits: Limits<'_>,
    ) -> Result<Vec<Result<R::Response>>> {
        let (start, end) = (Instant::now(), limits.next_step());
        let call = async {
            let mut slot = node.connection.lock().await;
            if let Some(mut connection) = slot.take() {
                match connection.call(requests, limits.budget).await {
                    Ok(responses) => {
                        *slot = Some(connection);
                        return Ok(responses);
                    }
                    // brokers close connections that are idle, or whose authentication has expired
                    Err(error) if reason(&error) == Reason::Connect => {}
                    Err(error) => return Err(error),
                }
            }
            let (host, port) = &node.address;
            let mut connection = Connection::open(host, *port, &self.settings).await?;
            let responses = connection.call(requests, limits.budget).await?;
            *slot = Some(connection);
            Ok(responses)
        };
        let late = |_| {
            read_error(Reason::Timeout, format!("no response within {}", duration::human(end.duration_since(start))))
        };
        let called = timeout_at(end, call).await.map_err(late).flatten();
        called.map_err(|error: Error| {
            let named = format!("{error:#}").contains(&node.name());
            if named { error } else { error.context(node.name()) }
        })
    }
}

impl Node {
    fn new(address: Address) -> Arc<Self> {
        Arc::new(Self { address, connection: tokio::sync::Mutex::default() })
    }

    fn name(&self) -> String {
        format!("Kafka at {}:{}", self.address.0, self.address.1)
    }
}

/// The response to a single request.
pub(super) fn one<T>(responses: Vec<Result<T>>) -> Result<T> {
    responses.into_iter().next().context("no response")?
}
