//! Numbers label sets from 0, and finds them without an allocation. A label set is a virtual host, or the virtual host and
//! the labels of `--metrics.label`.

use std::collections::HashMap;
use std::sync::Once;

use memchr::memrchr;

use crate::metrics::label::{OTHER, SEPARATOR};

/// All known label sets.
#[derive(Debug)]
pub(crate) struct LabelSets {
    /// The values of each set, with separators between them.
    keys: Vec<Box<str>>,
    ids: HashMap<Box<[u8]>, u32>,
    /// A small cache of recent sets, indexed by [`slot`].
    recent: Box<[u32; RECENT]>,
    /// The number of values of a set.
    values: usize,
}

const RECENT: usize = 256;
/// The maximum length of a DNS name, plus a port.
pub(crate) const MAX_VHOST: usize = 253 + 6;

impl LabelSets {
    /// The number of the set in which every value is `other`.
    pub(crate) const OTHER: usize = 0;

    /// Creates the table for sets with this number of values.
    pub(crate) fn new(values: usize) -> Self {
        Self {
            keys: vec![vec![OTHER; values].join("\n").into()],
            ids: HashMap::new(),
            recent: Box::new([0; RECENT]),
            values,
        }
    }

    /// The number of a known set.
    #[inline]
    pub(crate) fn id(&mut self, key: &[u8]) -> Option<usize> {
        let slot = slot(key);
        let recent = self.recent[slot] as usize;
        if recent != Self::OTHER && self.keys[recent].as_bytes() == key {
            return Some(recent);
        }
        let id = *self.ids.get(key)?;
        self.recent[slot] = id;
        Some(id as usize)
    }

    /// Adds a set and returns its number; an invalid one is `other`.
    pub(crate) fn insert(&mut self, key: &[u8]) -> usize {
        let is_valid = |text: &str| {
            text.split(SEPARATOR).count() == self.values
                && text.split(SEPARATOR).all(|value| value.len() <= MAX_VHOST)
                && text.split(SEPARATOR).any(|value| value != OTHER)
        };
        match std::str::from_utf8(key) {
            Ok(text) if is_valid(text) => {
                let id = self.keys.len();
                self.keys.push(text.into());
                self.ids.insert(key.into(), u32::try_from(id).unwrap_or_default());
                id
            }
            _ => Self::OTHER,
        }
    }

    /// The values of a set, with separators between them.
    pub(crate) fn key(&self, id: usize) -> &str {
        &self.keys[id]
    }
}

/// The name of a virtual host in lower case, without port and final dot: all of these are the same host. An empty name is
/// a hyphen.
#[inline]
pub(crate) fn normalized<'a>(name: &'a [u8], buffer: &'a mut [u8; MAX_VHOST]) -> &'a [u8] {
    let name = without_port(name);
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() {
        return b"-";
    }
    match buffer.get_mut(..name.len()) {
        Some(lower) if name.iter().any(u8::is_ascii_uppercase) => {
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            lower
        }
        _ => name,
    }
}

/// The name before `:443`. The colons of an IPv6 address without brackets belong to the address.
#[inline]
fn without_port(name: &[u8]) -> &[u8] {
    let Some(colon) = memrchr(b':', name) else { return name };
    let (host, port) = (&name[..colon], &name[colon + 1..]);
    let is_port = port.iter().all(u8::is_ascii_digit) && (host.ends_with(b"]") || !host.contains(&b':'));
    if is_port { host } else { name }
}

/// The cache index of a key, computed from its length and its first, middle and last byte.
#[inline]
fn slot(key: &[u8]) -> usize {
    let [first, .., last] = key else { return key.first().map_or(0, |&byte| usize::from(byte)) % RECENT };
    let middle = key[key.len() / 2];
    let mixed = key.len() + usize::from(*first) * 7 + usize::from(middle) * 31 + usize::from(*last) * 131;
    mixed % RECENT
}

/// Logs once per process that the limit of series is reached.
pub(crate) fn warn_of_overflow(max_series: usize) {
    static LOGGED: Once = Once::new();
    LOGGED.call_once(|| {
        tracing::warn!(
            max_series,
            "the limit of series is reached: requests with new labels are counted as other; raise --metrics.max-series"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_same_host_have_the_same_name() {
        for (spellings, name) in [
            (
                &[
                    "www.example.com",
                    "WWW.example.COM",
                    "www.example.com:443",
                    "Www.Example.Com.:80",
                    "www.example.com:",
                ][..],
                "www.example.com",
            ),
            (&["[2001:DB8::1]:443", "[2001:db8::1]"], "[2001:db8::1]"),
            (&["2001:db8::1", "2001:DB8::1"], "2001:db8::1"),
            (&["", "-", ":80", "."], "-"),
            (&["a:b"], "a:b"),
        ] {
            for spelling in spellings {
                assert_eq!(normalized(spelling.as_bytes(), &mut [0; MAX_VHOST]), name.as_bytes(), "{spelling}");
            }
        }
    }

    #[test]
    fn every_set_keeps_its_number() {
        let mut sets = LabelSets::new(1);
        let names: Vec<_> = (0..1000).map(|number| format!("host{number}.example.com")).collect();
        for name in &names {
            assert_eq!(sets.id(name.as_bytes()), None);
            sets.insert(name.as_bytes());
        }
        for _ in 0..2 {
            for (number, name) in names.iter().enumerate() {
                let id = sets.id(name.as_bytes()).unwrap();
                assert_eq!((id, sets.key(id)), (number + 1, name.as_str()));
            }
        }
    }

    #[test]
    fn a_set_that_is_invalid_or_has_only_other_is_other() {
        let mut hosts = LabelSets::new(1);
        for key in [&b"other"[..], b"\xff", b"a\nb", &[b'x'; 300]] {
            assert_eq!(hosts.insert(key), LabelSets::OTHER);
        }
        let mut sets = LabelSets::new(3);
        assert_eq!(sets.insert(sets.key(LabelSets::OTHER).to_owned().as_bytes()), LabelSets::OTHER);
        assert_eq!(sets.insert(b"other\n\nother"), 1);
    }
}
