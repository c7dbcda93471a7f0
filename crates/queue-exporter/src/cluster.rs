//! Redis Cluster: which node holds which keys, and commands that go to all of these nodes at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;
use redis::{Arg, Cmd, Pipeline, ServerError, Value};
use tokio::time::timeout;

use crate::fault::{Reason, fault, reason};
use crate::redis::{add, count, field, list, refusal, said, text};
use crate::server::{Access, Address, Server, address};

/// The nodes of a cluster. It is empty until one of them has told of the others.
pub(crate) struct Cluster {
    /// How long a node may take, so that there is time for the others.
    patience: Duration,
    map: Mutex<Option<Arc<Map>>>,
    /// Nodes that have not answered in this read, with the fault, and are not asked again in it.
    silent: Mutex<HashMap<Address, (Reason, String)>>,
    /// Whether something was missing: who has told of the nodes may be one that the others have lost.
    doubt: AtomicBool,
}

/// Who holds which slots.
struct Map {
    /// First and last slot with their primary, sorted.
    slots: Vec<(u16, u16, Arc<Server>)>,
    primaries: Vec<Arc<Server>>,
    told_by: Arc<Server>,
}

/// Some of several commands, which one node is sent.
struct Part {
    server: Arc<Server>,
    /// Their places among all, and whether the slot is only on its way to the node.
    places: Vec<(usize, bool)>,
}

/// How often commands are sent on to the node to which their slot has moved.
const REDIRECTIONS: usize = 4;

/// Errors of a node that are no reply to the command.
const UNSERVED: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

/// How many slots there are.
const SLOTS: u16 = 16384;

impl Cluster {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, map: Mutex::default(), silent: Mutex::default(), doubt: AtomicBool::default() }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.map().is_some()
    }

    /// The primaries as they are now, at the beginning of a read. Whichever node answers is asked: first who has
    /// told the last time, then the others, then those that are known from the beginning.
    pub(crate) async fn primaries(&self, access: &Access, first: &[Arc<Server>]) -> Result<Vec<Arc<Server>>> {
        self.silent().clear();
        let doubt = self.doubt.swap(false, Ordering::Relaxed);
        let known = self.map().clone().map(|map| map.candidates(doubt)).unwrap_or_default();
        let candidates: Vec<_> = known.into_iter().chain(first.iter().cloned()).collect();
        let mut last = fault(Reason::Connect, "no node of the cluster is known");
        for server in &candidates {
            let map = self.ask_node_one(access, server, &["CLUSTER", "SLOTS"]).await;
            match map.and_then(|map| Map::parse(&map, server, &candidates)) {
                Ok(map) => {
                    let is_used = |first: &Arc<Server>| {
                        map.primaries.iter().chain([&map.told_by]).any(|used| Arc::ptr_eq(used, first))
                    };
                    first.iter().filter(|first| !is_used(first)).for_each(|first| first.part());
                    let primaries = map.primaries.clone();
                    *self.map() = Some(Arc::new(map));
                    return Ok(primaries);
                }
                Err(error) => last = error,
            }
        }
        if candidates.iter().any(|server| server.is_alone()) {
            *self.map() = None; // what is there now is something else
        }
        Err(last)
    }

    /// What is wrong when some slots have no node.
    pub(crate) fn hole(&self) -> Option<Error> {
        let map = self.map().clone()?;
        let held: u32 = map.slots.iter().map(|(first, last, _)| u32::from(last - first) + 1).sum();
        let holes = u32::from(SLOTS).saturating_sub(held);
        (holes > 0).then(|| fault(Reason::Partial, format!("{holes} slots of the cluster have no node")))
    }

    /// The replies to commands with a key each. Those of nodes that do not answer are errors, see [`unread`].
    pub(crate) async fn ask(&self, access: &Access, pipeline: &Pipeline) -> Result<Vec<Value>> {
        let map = self.map().clone().context("the nodes of the cluster are not known")?;
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let mut replies = vec![Value::Nil; commands.len()];
        let mut parts = Parts::default();
        for (place, command) in commands.iter().enumerate() {
            let slot = slot(key(command).unwrap_or_default());
            match map.holder(slot) {
                Some(server) => parts.add(server, false, place),
                None => replies[place] = lost(Reason::Partial, &format!("slot {slot} of the cluster has no node")),
            }
        }
        for _ in 0..=REDIRECTIONS {
            let asked = std::mem::take(&mut parts).0.into_values().map(|part| async {
                let whole = part.places.len() == commands.len();
                let answer = if whole && part.places.iter().all(|(_, asking)| !asking) {
                    self.ask_node(access, &part.server, pipeline).await
                } else {
                    self.ask_part(access, &part, &commands).await
                };
                (part, answer)
            });
            for (part, answer) in join_all(asked).await {
                match answer {
                    Ok(answers) => {
                        for (&(place, _), reply) in part.places.iter().zip(answers) {
                            if let Some((to, asking)) = redirection(&reply, &part.server) {
                                parts.add(&map.server(to), asking, place);
                            }
                            replies[place] = self.served(reply, &part.server);
                        }
                    }
                    Err(error) => {
                        let reply = lost(reason(&error), &format!("{error:#}"));
                        for (place, _) in part.places {
                            replies[place] = reply.clone();
                        }
                    }
                }
            }
            if parts.0.is_empty() {
                break;
            }
        }
        Ok(replies)
    }

    /// A reply, or that there is none where the cluster does not serve the slot.
    fn served(&self, reply: Value, by: &Server) -> Value {
        match &reply {
            Value::ServerError(error) if UNSERVED.contains(&error.code()) => {
                self.doubt.store(true, Ordering::Relaxed);
                lost(Reason::Protocol, &format!("{by} answered {}", said(error)))
            }
            _ => reply,
        }
    }

    async fn ask_part(&self, access: &Access, part: &Part, commands: &[&Cmd]) -> Result<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(part.places.len());
        for &(place, asking) in &part.places {
            if asking {
                add(&mut pipeline, &["ASKING"]);
            }
            pipeline.add_command(commands[place].clone());
        }
        let mut replies = self.ask_node(access, &part.server, &pipeline).await?.into_iter();
        let reply = |(_, asking): &(usize, bool)| {
            let refused = if *asking { replies.next() } else { None };
            let reply = replies.next().unwrap_or_default();
            refused.filter(|it| matches!(it, Value::ServerError(_))).unwrap_or(reply)
        };
        Ok(part.places.iter().map(reply).collect())
    }

    /// The reply of one node to one command.
    pub(crate) async fn ask_node_one(&self, access: &Access, server: &Server, command: &[&str]) -> Result<Value> {
        let mut commands = Pipeline::new();
        add(&mut commands, command);
        let reply = self.ask_node(access, server, &commands).await?.pop().unwrap_or_default();
        match &reply {
            Value::ServerError(error) => Err(refusal(error).context(server.to_string())),
            _ => Ok(reply),
        }
    }

    async fn ask_node(&self, access: &Access, server: &Server, commands: &Pipeline) -> Result<Vec<Value>> {
        if let Some((reason, text)) = self.silent().get(server.address()) {
            return Err(fault(*reason, text.clone()));
        }
        // noted before, as this may be given up while it waits
        let late = || format!("{server}: no answer within {}", exporter_common::duration::human(self.patience));
        self.silent().insert(server.address().clone(), (Reason::Timeout, late()));
        let answer = timeout(self.patience, server.ask(access, commands)).await;
        let answer = answer.unwrap_or_else(|_| Err(fault(Reason::Timeout, late()))).and_then(|replies| {
            let alone = || fault(Reason::Protocol, format!("{server} is no node of a cluster any more"));
            if server.is_clustered() { Ok(replies) } else { Err(alone()) }
        });
        match &answer {
            Ok(_) => {
                self.silent().remove(server.address());
            }
            Err(error) => {
                self.doubt.store(true, Ordering::Relaxed);
                self.silent().insert(server.address().clone(), (reason(error), format!("{error:#}")));
            }
        }
        answer
    }

    fn map(&self) -> MutexGuard<'_, Option<Arc<Map>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<Address, (Reason, String)>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commands by the node that each goes to. Each node is asked once at a time.
#[derive(Default)]
struct Parts(BTreeMap<Address, Part>);

impl Parts {
    fn add(&mut self, server: &Arc<Server>, asking: bool, place: usize) {
        // names are not to be copied for each
        if let Some(part) = self.0.get_mut(server.address()) {
            return part.places.push((place, asking));
        }
        let part = Part { server: server.clone(), places: vec![(place, asking)] };
        self.0.insert(server.address().clone(), part);
    }
}

impl Map {
    /// The reply to `CLUSTER SLOTS`: first slot, last slot, the primary, its replicas.
    fn parse(reply: &Value, told_by: &Arc<Server>, known: &[Arc<Server>]) -> Result<Self> {
        let mut map = Self { slots: Vec::new(), primaries: Vec::new(), told_by: told_by.clone() };
        for range in list(reply)? {
            let [first, last, primary, ..] = list(range)? else {
                return Err(fault(Reason::Protocol, format!("{told_by}: slots without a node")));
            };
            let slot = |slot: &Value| count(slot)?.and_then(|slot| u16::try_from(slot).ok()).context("no slot");
            let (first, last) = (slot(first)?, slot(last)?);
            let address = node(list(primary)?, told_by.address()).context("a node of the cluster")?;
            if first > last || last >= SLOTS {
                return Err(fault(Reason::Protocol, format!("{told_by}: slots {first} to {last}")));
            }
            let has = |server: &&Arc<Server>| *server.address() == address;
            let server = map.primaries.iter().find(has).or_else(|| known.iter().find(has));
            let server = server.cloned().unwrap_or_else(|| Arc::new(Server::new(address, None)));
            if !map.primaries.iter().any(|primary| Arc::ptr_eq(primary, &server)) {
                map.primaries.push(server.clone());
            }
            map.slots.push((first, last, server));
        }
        if map.slots.is_empty() {
            return Err(fault(Reason::Partial, format!("{told_by} knows of no node of its cluster that holds keys")));
        }
        map.slots.sort_by_key(|(first, ..)| *first);
        Ok(map)
    }

    /// Whom to ask the next time: who has told this, or where that is in doubt the primary after it, then all others.
    fn candidates(&self, doubt: bool) -> Vec<Arc<Server>> {
        let mut candidates = self.primaries.clone();
        let told_by = candidates.iter().position(|server| Arc::ptr_eq(server, &self.told_by));
        candidates.rotate_left(told_by.map_or(0, |at| (at + usize::from(doubt)) % self.primaries.len()));
        if told_by.is_none() && !doubt {
            candidates.insert(0, self.told_by.clone());
        }
        candidates
    }

    fn holder(&self, slot: u16) -> Option<&Arc<Server>> {
        let after = self.slots.partition_point(|(first, ..)| *first <= slot);
        let (_, last, server) = self.slots[..after].last()?;
        (slot <= *last).then_some(server)
    }

    fn server(&self, address: Address) -> Arc<Server> {
        let known = self.primaries.iter().find(|server| *server.address() == address);
        known.cloned().unwrap_or_else(|| Arc::new(Server::new(address, None)))
    }
}

/// Where a node is: what it is to be called, or else its address. One that does not know is where it was asked.
fn node(node: &[Value], asked: &Address) -> Result<Address> {
    let [host, port, more @ ..] = node else { return Err(fault(Reason::Protocol, "it has no address")) };
    let port = count(port)?.and_then(|port| u16::try_from(port).ok()).context("it has no port")?;
    let host = match text(host)? {
        None | Some("") => &asked.0,
        Some("?") => more.get(1).and_then(|more| text(field(list(more).ok()?, "ip")?).ok()?).unwrap_or(&asked.0),
        Some(host) => host,
    };
    Ok((host.to_owned(), port))
}

/// Where a reply sends its command, and whether it has to ask there.
fn redirection(reply: &Value, from: &Server) -> Option<(Address, bool)> {
    let Value::ServerError(error) = reply else { return None };
    let asking = match error.code() {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    let (host, port) = address(error.details()?.split(' ').nth(1)?)?;
    let host = if host.is_empty() { from.address().0.clone() } else { host };
    Some(((host, port), asking))
}

/// The key of a command, of which all that are used have one.
fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|word| match word {
        Arg::Simple(word) => word,
        _ => b"".as_slice(),
    });
    match words.next()? {
        b"XINFO" | b"MEMORY" => words.nth(1),
        b"XREAD" => words.skip_while(|word| *word != b"STREAMS").nth(1),
        _ => words.next(),
    }
}

/// The slot of a key, or of what is in its first braces.
fn slot(key: &[u8]) -> u16 {
    let position = |key: &[u8], brace| key.iter().position(|byte| *byte == brace);
    let tag = position(key, b'{').and_then(|open| {
        let rest = &key[open + 1..];
        position(rest, b'}').filter(|close| *close > 0).map(|close| &rest[..close])
    });
    let step = |crc: u16, byte: &u8| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)];
    tag.unwrap_or(key).iter().fold(0, step) % SLOTS
}

/// CRC-16/XMODEM, a byte at a time.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The code of an error that no Redis gives: the node that would have answered did not.
const UNREAD: &str = "UNREAD";

fn lost(reason: Reason, text: &str) -> Value {
    let text = text.replace(['\r', '\n'], " ");
    redis::parse_redis_value(format!("-{UNREAD} {} {text}\r\n", reason.name()).as_bytes()).unwrap_or_default()
}

/// The fault of the node where a command got no reply at all.
pub(crate) fn unread(error: &ServerError) -> Option<Error> {
    let (reason, text) = error.details().filter(|_| error.code() == UNREAD)?.split_once(' ')?;
    Some(fault(Reason::named(reason)?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg(words.split(' ').collect::<Vec<_>>());
        command
    }

    #[test]
    fn a_key_is_in_the_slot_that_redis_says() {
        // CLUSTER KEYSLOT of version 7.0
        for (key, expected) in [
            ("123456789", 12739),
            ("orders", 105),
            ("bull:{orders}:meta", 105),
            ("{}orders", 2209),
            ("a{{b}}c", 6215),
            ("{a}{b}", 15495),
            ("{a", 10276),
            ("", 0),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn the_key_of_each_command_is_known() {
        for words in [
            "LLEN k",
            "XINFO STREAM k",
            "MEMORY USAGE k SAMPLES 1",
            "XREAD COUNT 100 STREAMS k 0-0",
            "HGET k STREAMS",
            "XRANGE k (1-1 + COUNT 1",
            "XPENDING k g",
        ] {
            assert_eq!(key(&command(words)), Some(b"k".as_slice()), "{words}");
        }
        assert_eq!(key(&command("PING")), None);
    }

    fn server(host: &str) -> Arc<Server> {
        Arc::new(Server::new((host.to_owned(), 7000), None))
    }

    fn map(reply: &str) -> Result<Map> {
        let reply = redis::parse_redis_value(reply.replace(' ', "\r\n").as_bytes()).unwrap();
        Map::parse(&reply, &server("seed"), &[server("b")])
    }

    #[test]
    fn who_holds_a_slot_is_told_by_any_node() {
        let read = map("*3 *3 :200 :16383 *4 $1 b :7000 $1 x *0 *4 :0 :99 *4 $-1 :7001 $1 y *0 *2 $1 r :1 \
             *3 :100 :198 *4 $1 ? :7002 $1 z *2 $2 ip $7 1.2.3.4 ")
        .unwrap();
        let holder = |slot| read.holder(slot).map(|server| server.address().clone());
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!([holder(0), holder(99)], [at("seed", 7001), at("seed", 7001)], "who does not know its name");
        assert_eq!([holder(100), holder(198)], [at("1.2.3.4", 7002), at("1.2.3.4", 7002)]);
        assert_eq!([holder(199), holder(200), holder(16383)], [None, at("b", 7000), at("b", 7000)]);
        assert_eq!(read.primaries.len(), 3);
        for wrong in ["*0 ", ":1 ", "*1 *2 :0 :1 ", "*1 *3 :0 :16384 *2 $1 b :1 ", "*1 *3 :0 :1 *2 $1 b $1 x "] {
            assert!(map(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_tells_of_the_nodes_is_asked_again_unless_it_may_be_wrong() {
        let [a, b, c, seed] = ["a", "b", "c", "seed"].map(server);
        let order = |told_by: &Arc<Server>, doubt| {
            let primaries = [&a, &b, &c].map(Arc::clone).to_vec();
            let map = Map { slots: Vec::new(), primaries, told_by: told_by.clone() };
            map.candidates(doubt).iter().map(|server| server.address().0.as_str().to_owned()).collect::<String>()
        };
        assert_eq!([order(&b, false), order(&b, true), order(&c, true)], ["bca", "cab", "abc"]);
        assert_eq!([order(&seed, false), order(&seed, true)], ["seedabc", "abc"]);
    }

    #[test]
    fn a_node_is_asked_once_for_slots_that_it_has_and_slots_that_are_on_their_way() {
        let mut parts = Parts::default();
        for (at, host, asking) in [(0, "a", false), (1, "b", false), (2, "a", true), (3, "a", false)] {
            parts.add(&server(host), asking, at);
        }
        let places: Vec<_> = parts.0.into_values().map(|part| part.places).collect();
        assert_eq!(places, [vec![(0, false), (2, true), (3, false)], vec![(1, false)]]);
    }

    #[test]
    fn a_reply_may_send_its_command_on() {
        let sent = |error: &str| redirection(&redis::parse_redis_value(error.as_bytes()).unwrap(), &server("here"));
        assert_eq!(sent("-MOVED 3999 127.0.0.1:6381\r\n"), Some((("127.0.0.1".to_owned(), 6381), false)));
        assert_eq!(sent("-ASK 3999 ::1:6381\r\n"), Some((("::1".to_owned(), 6381), true)));
        assert_eq!(sent("-MOVED 3999 :6381\r\n"), Some((("here".to_owned(), 6381), false)));
        assert_eq!([sent("-ERR no\r\n"), sent("-MOVED x\r\n"), sent("+OK\r\n")], [None, None, None]);
    }

    #[test]
    fn a_reply_that_is_lost_has_the_reason_of_its_node() {
        let Value::ServerError(error) = lost(Reason::Connect, "Redis at a:1:\r\nrefused") else { panic!() };
        let fault = unread(&error).unwrap();
        assert_eq!((reason(&fault), fault.to_string()), (Reason::Connect, "Redis at a:1:  refused".to_owned()));
    }
}
