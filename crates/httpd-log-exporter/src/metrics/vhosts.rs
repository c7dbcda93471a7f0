//! Numbers virtual hosts from 0, and finds them by name without an allocation.

use std::collections::HashMap;

use memchr::memrchr;

/// All known virtual hosts.
#[derive(Debug)]
pub(crate) struct Vhosts {
    names: Vec<Box<str>>,
    ids: HashMap<Box<[u8]>, u32>,
    /// A small cache of recent virtual hosts, indexed by [`slot`].
    recent: Box<[u32; RECENT]>,
}

const RECENT: usize = 256;
/// The maximum length of a DNS name, plus a port.
const MAX_LENGTH: usize = 253 + 6;

impl Default for Vhosts {
    fn default() -> Self {
        Self { names: vec!["other".into()], ids: HashMap::new(), recent: Box::new([0; RECENT]) }
    }
}

impl Vhosts {
    /// The number of `other`.
    pub(crate) const OTHER: usize = 0;

    /// The number of a known virtual host.
    #[inline]
    pub(crate) fn id(&mut self, name: &[u8]) -> Option<usize> {
        let mut buffer = [0; MAX_LENGTH];
        let name = normalized(name, &mut buffer);
        let slot = slot(name);
        let recent = self.recent[slot] as usize;
        if recent != Self::OTHER && self.names[recent].as_bytes() == name {
            return Some(recent);
        }
        let id = *self.ids.get(name)?;
        self.recent[slot] = id;
        Some(id as usize)
    }

    /// Adds a virtual host and returns its number; an invalid name is `other`.
    pub(crate) fn insert(&mut self, name: &[u8]) -> usize {
        let mut buffer = [0; MAX_LENGTH];
        let name = normalized(name, &mut buffer);
        match std::str::from_utf8(name) {
            Ok(text) if text != "other" && name.len() <= MAX_LENGTH => {
                let id = self.names.len();
                self.names.push(text.into());
                self.ids.insert(name.into(), u32::try_from(id).unwrap_or_default());
                id
            }
            _ => Self::OTHER,
        }
    }

    /// The label value of a virtual host.
    pub(crate) fn name(&self, id: usize) -> &str {
        &self.names[id]
    }
}

/// The name in lower case, without port and final dot: all of these are the same host. An empty name is a hyphen.
#[inline]
fn normalized<'a>(name: &'a [u8], buffer: &'a mut [u8; MAX_LENGTH]) -> &'a [u8] {
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

/// The cache index of a name, computed from its length and its first, middle and last byte.
#[inline]
fn slot(name: &[u8]) -> usize {
    let [first, .., last] = name else { return name.first().map_or(0, |&byte| usize::from(byte)) % RECENT };
    let middle = name[name.len() / 2];
    let mixed = name.len() + usize::from(*first) * 7 + usize::from(middle) * 31 + usize::from(*last) * 131;
    mixed % RECENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_same_host_have_the_same_number() {
        let mut vhosts = Vhosts::default();
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
            let id = vhosts.insert(spellings[0].as_bytes());
            assert_eq!(vhosts.name(id), name);
            for spelling in spellings {
                assert_eq!(vhosts.id(spelling.as_bytes()), Some(id), "{spelling}");
            }
        }
        assert_eq!(vhosts.insert(&[b'X'; 300]), Vhosts::OTHER);
    }

    #[test]
    fn every_name_keeps_its_number() {
        let mut vhosts = Vhosts::default();
        let names: Vec<_> = (0..1000).map(|number| format!("host{number}.example.com")).collect();
        for name in &names {
            assert_eq!(vhosts.id(name.as_bytes()), None);
            vhosts.insert(name.as_bytes());
        }
        for _ in 0..2 {
            for (number, name) in names.iter().enumerate() {
                let id = vhosts.id(name.as_bytes()).unwrap();
                assert_eq!((id, vhosts.name(id)), (number + 1, name.as_str()));
            }
        }
    }
}
