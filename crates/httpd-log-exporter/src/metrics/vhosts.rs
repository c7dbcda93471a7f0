//! Virtual hosts, each with a small number: found again by their bytes, without an allocation.

use std::collections::HashMap;

/// The virtual hosts that were seen.
#[derive(Debug)]
pub(crate) struct Vhosts {
    names: Vec<Box<str>>,
    ids: HashMap<Box<[u8]>, u32>,
    /// Those that were last asked for, by a few of their bytes: most lines need no more.
    recent: Box<[u32; RECENT]>,
}

const RECENT: usize = 256;
/// The longest name that DNS knows, and a port.
const MAX_LENGTH: usize = 253 + 6;

impl Default for Vhosts {
    fn default() -> Self {
        Self { names: vec!["other".into()], ids: HashMap::new(), recent: Box::new([0; RECENT]) }
    }
}

impl Vhosts {
    /// The number of all that have no number of their own.
    pub(crate) const OTHER: usize = 0;

    /// The number of a virtual host that was seen before. What cannot be one is `other`.
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

    /// Gives a virtual host a number.
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

    /// The label value of a number.
    pub(crate) fn name(&self, id: usize) -> &str {
        &self.names[id]
    }
}

/// A place among the recent ones, from the length and both ends.
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
    fn a_name_has_one_number_however_many_there_are() {
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
