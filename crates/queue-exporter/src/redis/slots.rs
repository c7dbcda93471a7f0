//! The slots of a Redis Cluster: the slot of a key, and which node serves which slots.

use crate::connection::Address;
use std::sync::Arc;

use anyhow::{Context, Error, Result};

use super::replies::{count, field, list, text};
use super::server::Server;
use super::value::Value;
use crate::read_error::{Reason, read_error};

/// The number of slots of a cluster.
const SLOTS: u16 = 16384;

/// Which node serves which slots, as one node reported it.
pub(super) struct SlotMap {
    /// First slot, last slot and their primary, sorted.
    ranges: Vec<(u16, u16, Arc<Server>)>,
    pub(super) primaries: Vec<Arc<Server>>,
    pub(super) reported_by: Arc<Server>,
}

impl SlotMap {
    /// Parses the reply to `CLUSTER SLOTS`: first slot, last slot, the primary, its replicas.
    pub(super) fn parse(reply: &Value, reported_by: &Arc<Server>, known: &[Arc<Server>]) -> Result<Self> {
        let mut map = Self { ranges: Vec::new(), primaries: Vec::new(), reported_by: reported_by.clone() };
        for range in list(reply)? {
            let [first, last, primary, ..] = list(range)? else {
                return Err(read_error(Reason::Protocol, format!("{reported_by}: a slot range without a node")));
            };
            let slot = |slot: &Value| count(slot)?.and_then(|slot| u16::try_from(slot).ok()).context("invalid slot");
            let (first, last) = (slot(first)?, slot(last)?);
            let address = node_address(list(primary)?, reported_by.address()).context("a node of the cluster")?;
            if first > last || last >= SLOTS {
                let text = format!("{reported_by}: invalid slot range {first} to {last}");
                return Err(read_error(Reason::Protocol, text));
            }
            let has_address = |server: &&Arc<Server>| *server.address() == address;
            let server = map.primaries.iter().find(has_address).or_else(|| known.iter().find(has_address));
            let server = server.cloned().unwrap_or_else(|| Arc::new(Server::new(address, None)));
            if !map.primaries.iter().any(|primary| Arc::ptr_eq(primary, &server)) {
                map.primaries.push(server.clone());
            }
            map.ranges.push((first, last, server));
        }
        if map.ranges.is_empty() {
            let text = format!("{reported_by} reports no cluster node that serves slots");
            return Err(read_error(Reason::Partial, text));
        }
        map.ranges.sort_by_key(|(first, ..)| *first);
        Ok(map)
    }

    /// The nodes to query for the next map, in order: the node that reported this one, or if its report is `suspect`,
    /// the primary after it; then all others.
    pub(super) fn candidates(&self, suspect: bool) -> Vec<Arc<Server>> {
        let mut candidates = self.primaries.clone();
        let reporter = candidates.iter().position(|server| Arc::ptr_eq(server, &self.reported_by));
        candidates.rotate_left(reporter.map_or(0, |at| (at + usize::from(suspect)) % self.primaries.len()));
        if reporter.is_none() && !suspect {
            candidates.insert(0, self.reported_by.clone());
        }
        candidates
    }

    /// The primary of a slot.
    pub(super) fn primary_of(&self, slot: u16) -> Option<&Arc<Server>> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, server) = self.ranges[..after].last()?;
        (slot <= *last).then_some(server)
    }

    /// The server at an address, which may be new.
    pub(super) fn server(&self, address: Address) -> Arc<Server> {
        let known = self.primaries.iter().find(|server| *server.address() == address);
        known.cloned().unwrap_or_else(|| Arc::new(Server::new(address, None)))
    }

    /// The error if no node serves some slots.
    pub(super) fn uncovered_slots(&self) -> Option<Error> {
        let covered: u32 = self.ranges.iter().map(|(first, last, _)| u32::from(last - first) + 1).sum();
        let uncovered = u32::from(SLOTS).saturating_sub(covered);
        let error = || read_error(Reason::Partial, format!("no node serves {uncovered} slots of the cluster"));
        (uncovered > 0).then(error)
    }
}

/// The address of a node: its preferred endpoint, or else its IP address. A node that does not know its host is at the
/// address that was queried.
fn node_address(node: &[Value], queried: &Address) -> Result<Address> {
    let [host, port, more @ ..] = node else {
        return Err(read_error(Reason::Protocol, "its address is missing"));
    };
    let port = count(port)?.and_then(|port| u16::try_from(port).ok()).context("its port is missing")?;
    let host = match text(host)? {
        None | Some("") => &queried.0,
        Some("?") => more.get(1).and_then(|more| text(field(list(more).ok()?, "ip")?).ok()?).unwrap_or(&queried.0),
        Some(host) => host,
    };
    Ok((host.to_owned(), port))
}

/// The slot of a key, or of its hash tag: the text in its first braces.
pub(super) fn slot(key: &[u8]) -> u16 {
    let position = |key: &[u8], brace| key.iter().position(|byte| *byte == brace);
    let tag = position(key, b'{').and_then(|open| {
        let rest = &key[open + 1..];
        position(rest, b'}').filter(|close| *close > 0).map(|close| &rest[..close])
    });
    let step = |crc: u16, byte: &u8| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)];
    tag.unwrap_or(key).iter().fold(0, step) % SLOTS
}

/// CRC-16/XMODEM, one byte at a time.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::value::decode;

    #[test]
    fn a_key_has_the_slot_that_redis_computes() {
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

    fn server(host: &str) -> Arc<Server> {
        Arc::new(Server::new((host.to_owned(), 7000), None))
    }

    fn map(reply: &str) -> Result<SlotMap> {
        let reply = decode(reply.replace(' ', "\r\n").as_bytes()).unwrap().unwrap();
        SlotMap::parse(&reply, &server("seed"), &[server("b")])
    }

    #[test]
    fn any_node_reports_the_primary_of_each_slot() {
        let read = map("*3 *3 :200 :16383 *4 $1 b :7000 $1 x *0 *4 :0 :99 *4 $-1 :7001 $1 y *0 *2 $1 r :1 \
             *3 :100 :198 *4 $1 ? :7002 $1 z *2 $2 ip $7 1.2.3.4 ")
        .unwrap();
        let primary = |slot| read.primary_of(slot).map(|server| server.address().clone());
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!([primary(0), primary(99)], [at("seed", 7001), at("seed", 7001)], "a node that reports no host");
        assert_eq!([primary(100), primary(198)], [at("1.2.3.4", 7002), at("1.2.3.4", 7002)]);
        assert_eq!([primary(199), primary(200), primary(16383)], [None, at("b", 7000), at("b", 7000)]);
        assert_eq!(read.primaries.len(), 3);
        assert!(read.uncovered_slots().is_some_and(|error| error.to_string().contains("1 slots")));
        for wrong in ["*0 ", ":1 ", "*1 *2 :0 :1 ", "*1 *3 :0 :16384 *2 $1 b :1 ", "*1 *3 :0 :1 *2 $1 b $1 x "] {
            assert!(map(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_node_that_reported_the_map_is_queried_first_unless_its_report_is_suspect() {
        let [a, b, c, seed] = ["a", "b", "c", "seed"].map(server);
        let order = |reported_by: &Arc<Server>, suspect| {
            let primaries = [&a, &b, &c].map(Arc::clone).to_vec();
            let map = SlotMap { ranges: Vec::new(), primaries, reported_by: reported_by.clone() };
            map.candidates(suspect).iter().map(|server| server.address().0.as_str().to_owned()).collect::<String>()
        };
        assert_eq!([order(&b, false), order(&b, true), order(&c, true)], ["bca", "cab", "abc"]);
        assert_eq!([order(&seed, false), order(&seed, true)], ["seedabc", "abc"]);
    }
}
