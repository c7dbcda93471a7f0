//! Numbers virtual hosts from 0, and finds them by name without an allocation.

use std::collections::HashMap;

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
        let name = if name.is_empty() { b"-" } else { name };
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
        let name = if name.is_empty() { b"-" } else { name };
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
