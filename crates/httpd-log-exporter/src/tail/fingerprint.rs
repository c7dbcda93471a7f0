//! Recognizes the content of a file up to an offset by hashes of its first and last bytes.

use serde::{Deserialize, Serialize};

use crate::tail::read_position::ReadPosition;

/// The length and the hash of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) length: u16,
    hash: u64,
}

/// The content of a file up to an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) offset: u64,
    /// The first bytes of the file.
    pub(crate) head: Piece,
    /// The last bytes before the offset.
    pub(crate) anchor: Piece,
}

impl Piece {
    /// The hash of up to 64 KiB.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        // FNV-1a: the state file needs a hash that no version changes
        let hash = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self { length: u16::try_from(bytes.len()).unwrap_or(u16::MAX), hash }
    }

    /// Whether bytes start with the hashed ones.
    pub(crate) fn begins(self, bytes: &[u8]) -> bool {
        bytes.get(..self.length.into()).is_some_and(|bytes| Self::of(bytes) == self)
    }
}

impl Fingerprint {
    /// The content up to a position.
    pub(crate) fn of(position: &ReadPosition) -> Self {
        Self { offset: position.offset, head: Piece::of(&position.head), anchor: Piece::of(&position.anchor) }
    }

    /// The content up to the beginning of the unfinished line at a position.
    pub(crate) fn before_unfinished_line(position: &ReadPosition) -> Self {
        Self { head: Piece::of(&position.head), ..Self::of(&position.before_unfinished_line()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_never_changes_since_it_is_in_state_files() {
        assert_eq!(Piece::of(b""), Piece { length: 0, hash: 0xcbf2_9ce4_8422_2325 });
        assert_eq!(Piece::of(b"foobar"), Piece { length: 6, hash: 0x8594_4171_f739_67e8 });
        assert!(Piece::of(b"foo").begins(b"foobar") && !Piece::of(b"foo").begins(b"fo"));
    }
}
