//! Redis Cluster: sends each command to the node that serves its key, to all nodes concurrently.

use crate::connection::{Address, parse_address};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::commands::Commands;
use super::replies::{command_error, unavailable_reply};
use super::server::{Server, ServerSettings};
use super::slots::{SlotMap, slot};
use super::value::Value;

use crate::read_error::{Reason, read_error, reason};

/// The nodes of a cluster, unknown until one node has reported them.
pub(super) struct Cluster {
    /// How long one node may take, which leaves time for the others.
    node_timeout: Duration,
    map: Mutex<Option<Arc<SlotMap>>>,
    /// Nodes that failed in this read, with the error. They are not queried again in the same read.
    failed: Mutex<HashMap<Address, (Reason, String)>>,
    /// Whether a reply was missing: the node that reported the map may be isolated from the others.
    suspect: AtomicBool,
}

/// The commands of a pipeline that go to one node.
struct NodeCommands {
    server: Arc<Server>,
    /// Their positions in the pipeline, and whether the slot is being migrated to the node (`ASKING`).
    positions: Vec<(usize, bool)>,
}

/// How often a command follows the redirection to another node.
const REDIRECTIONS: usize = 4;

/// Errors with which a node refuses a command whose slot it does not serve.
const NOT_SERVED: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

impl Cluster {
    pub(super) fn new(node_timeout: Duration) -> Self {
        Self { node_timeout, map: Mutex::default(), failed: Mutex::default(), suspect: AtomicBool::default() }
    }

    pub(super) fn is_known(&self) -> bool {
        self.map().is_some()
    }

    /// Updates the slot map at the beginning of a read and returns the current primaries. The first node that responds
    /// reports it: the reporter of the last map, then the other primaries, then the configured nodes.
    pub(super) async fn refresh(
        &self,
        settings: &ServerSettings,
        configured: &[Arc<Server>],
    ) -> Result<Vec<Arc<Server>>> {
        self.failed().clear();
        let suspect = self.suspect.swap(false, Ordering::Relaxed);
        let known = self.map().clone().map(|map| map.candidates(suspect)).unwrap_or_default();
        let candidates: Vec<_> = known.into_iter().chain(configured.iter().cloned()).collect();
        let mut last_error = read_error(Reason::Connect, "no node of the cluster is known");
        for server in &candidates {
            let reply = self.query_node_one(settings, server, &["CLUSTER", "SLOTS"]).await;
            match reply.and_then(|reply| SlotMap::parse(&reply, server, &candidates)) {
                Ok(map) => {
                    let is_used = |configured: &Arc<Server>| {
                        map.primaries.iter().chain([&map.reported_by]).any(|used| Arc::ptr_eq(used, configured))
                    };
                    configured.iter().filter(|server| !is_used(server)).for_each(|server| server.disconnect());
                    let primaries = map.primaries.clone();
                    *self.map() = Some(Arc::new(map));
                    return Ok(primaries);
                }
                Err(error) => last_error = error,
            }
        }
        if candidates.iter().any(|server| server.is_standalone()) {
            *self.map() = None; // a standalone Redis has replaced the cluster
        }
        Err(last_error)
    }

    /// The primaries in the last read; `None` if the cluster is unknown.
    pub(super) fn primaries(&self) -> Option<Vec<Arc<Server>>> {
        self.map().as_ref().map(|map| map.primaries.clone())
    }

    /// The error if no node serves some slots.
    pub(super) fn uncovered_slots(&self) -> Option<Error> {
        self.map().clone()?.uncovered_slots()
    }

    /// The replies to commands with one key each. The reply of a node that does not respond is an error, see
    /// [`super::replies::node_error`].
    pub(super) async fn query(&self, settings: &ServerSettings, commands: &Commands) -> Result<Vec<Value>> {
        let map = self.map().clone().context("the nodes of the cluster are not known")?;
        let mut replies = vec![Value::Nil; commands.len()];
        let mut routes = Routes::default();
        for (position, key) in commands.keys().enumerate() {
            let slot = slot(key);
            match map.primary_of(slot) {
                Some(server) => routes.add(server, false, position),
                None => {
                    let text = format!("no node serves slot {slot} of the cluster");
                    replies[position] = unavailable_reply(Reason::Partial, &text);
                }
            }
        }
        for _ in 0..=REDIRECTIONS {
            let queries = std::mem::take(&mut routes).0.into_values().map(|node| async {
                let everything = node.positions.len() == commands.len();
                let replies = if everything && node.positions.iter().all(|(_, asking)| !asking) {
                    self.query_node(settings, &node.server, commands).await
                } else {
                    self.query_some(settings, &node, commands).await
                };
                (node, replies)
            });
            for (node, result) in join_all(queries).await {
                match result {
                    Ok(node_replies) => {
                        for (&(position, _), reply) in node.positions.iter().zip(node_replies) {
                            if let Some((to, asking)) = redirection(&reply, &node.server) {
                                routes.add(&map.server(to), asking, position);
                            }
                            replies[position] = self.unless_not_served(reply, &node.server);
                        }
                    }
                    Err(error) => {
                        let reply = unavailable_reply(reason(&error), &format!("{error:#}"));
                        for (position, _) in node.positions {
                            replies[position] = reply.clone();
                        }
                    }
                }
            }
            if routes.0.is_empty() {
                break;
            }
        }
        Ok(replies)
    }

    /// The reply, or an error if the node does not serve the slot.
    fn unless_not_served(&self, reply: Value, node: &Server) -> Value {
        match &reply {
            Value::Error(error) if NOT_SERVED.contains(&error.code()) => {
                self.suspect.store(true, Ordering::Relaxed);
                unavailable_reply(Reason::Protocol, &format!("{node} returned {}", error.text()))
            }
            _ => reply,
        }
    }

    async fn query_some(
        &self,
        settings: &ServerSettings,
        node: &NodeCommands,
        commands: &Commands,
    ) -> Result<Vec<Value>> {
        let mut pipeline = Commands::with_capacity(node.positions.len());
        for &(position, asking) in &node.positions {
            if asking {
                pipeline.add(&["ASKING"]);
            }
            pipeline.add_from(commands, position);
        }
        let mut replies = self.query_node(settings, &node.server, &pipeline).await?.into_iter();
        let reply = |(_, asking): &(usize, bool)| {
            let refused = if *asking { replies.next() } else { None };
            let reply = replies.next().unwrap_or_default();
            refused.filter(|reply| matches!(reply, Value::Error(_))).unwrap_or(reply)
        };
        Ok(node.positions.iter().map(reply).collect())
    }

    /// The reply of one node to one command.
    pub(super) async fn query_node_one(
        &self,
        settings: &ServerSettings,
        server: &Server,
        command: &[&str],
    ) -> Result<Value> {
        let mut commands = Commands::default();
        commands.add(command);
        let reply = self.query_node(settings, server, &commands).await?.pop().unwrap_or_default();
        match &reply {
            Value::Error(error) => Err(command_error(error).context(server.to_string())),
            _ => Ok(reply),
        }
    }

    async fn query_node(&self, settings: &ServerSettings, server: &Server, commands: &Commands) -> Result<Vec<Value>> {
        if let Some((reason, text)) = self.failed().get(server.address()) {
            return Err(read_error(*reason, text.clone()));
        }
        // recorded first, because the caller may drop this future while it waits
        let late = || format!("{server}: no response within {}", exporter_common::duration::human(self.node_timeout));
        self.failed().insert(server.address().clone(), (Reason::Timeout, late()));
        let result = timeout(self.node_timeout, server.query(settings, commands)).await;
        let result = result.unwrap_or_else(|_| Err(read_error(Reason::Timeout, late()))).and_then(|replies| {
            let standalone = || read_error(Reason::Protocol, format!("{server} is no longer a node of a cluster"));
            if server.is_cluster_node() { Ok(replies) } else { Err(standalone()) }
        });
        match &result {
            Ok(_) => {
                self.failed().remove(server.address());
            }
            Err(error) => {
                self.suspect.store(true, Ordering::Relaxed);
                self.failed().insert(server.address().clone(), (reason(error), format!("{error:#}")));
            }
        }
        result
    }

    fn map(&self) -> MutexGuard<'_, Option<Arc<SlotMap>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<Address, (Reason, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commands by the node that they go to, so that each node gets one pipeline at a time.
#[derive(Default)]
struct Routes(BTreeMap<Address, NodeCommands>);

impl Routes {
    fn add(&mut self, server: &Arc<Server>, asking: bool, position: usize) {
        // looked up first: cloning the address for every command would be slow
        if let Some(node) = self.0.get_mut(server.address()) {
            return node.positions.push((position, asking));
        }
        let node = NodeCommands { server: server.clone(), positions: vec![(position, asking)] };
        self.0.insert(server.address().clone(), node);
    }
}

/// The node to which a reply redirects its command, and whether `ASKING` must precede the command there.
fn redirection(reply: &Value, from: &Server) -> Option<(Address, bool)> {
    let Value::Error(error) = reply else { return None };
    let asking = match error.code() {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    let (host, port) = parse_address(error.details().split(' ').nth(1)?)?;
    let host = if host.is_empty() { from.address().0.clone() } else { host };
    Some(((host, port), asking))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::value::decode;

    fn server(host: &str) -> Arc<Server> {
        Arc::new(Server::new((host.to_owned(), 7000), None))
    }

    #[test]
    fn a_node_gets_one_pipeline_for_served_and_migrating_slots() {
        let mut routes = Routes::default();
        for (position, host, asking) in [(0, "a", false), (1, "b", false), (2, "a", true), (3, "a", false)] {
            routes.add(&server(host), asking, position);
        }
        let positions: Vec<_> = routes.0.into_values().map(|node| node.positions).collect();
        assert_eq!(positions, [vec![(0, false), (2, true), (3, false)], vec![(1, false)]]);
    }

    #[test]
    fn a_reply_may_redirect_its_command() {
        let target = |error: &str| redirection(&decode(error.as_bytes()).unwrap().unwrap(), &server("here"));
        assert_eq!(target("-MOVED 3999 127.0.0.1:6381\r\n"), Some((("127.0.0.1".to_owned(), 6381), false)));
        assert_eq!(target("-ASK 3999 ::1:6381\r\n"), Some((("::1".to_owned(), 6381), true)));
        assert_eq!(target("-MOVED 3999 :6381\r\n"), Some((("here".to_owned(), 6381), false)));
        assert_eq!([target("-ERR no\r\n"), target("-MOVED x\r\n"), target("+OK\r\n")], [None, None, None]);
    }
}
