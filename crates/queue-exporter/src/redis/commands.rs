//! Commands of a pipeline as they are sent, their keys, and patterns of keys.

use std::ops::Range;

/// Commands that are sent together.
#[derive(Default)]
pub(crate) struct Commands {
    packed: Vec<u8>,
    commands: Vec<Command>,
}

/// Where a command and its key are in the packed commands. A command without a key has an empty one.
struct Command {
    all: Range<usize>,
    key: Range<usize>,
}

/// The memory to reserve for one command.
const COMMAND_SIZE: usize = 64;

impl Commands {
    /// Reserves memory for a number of commands.
    pub(crate) fn with_capacity(number: usize) -> Self {
        Self { packed: Vec::with_capacity(number * COMMAND_SIZE), commands: Vec::with_capacity(number) }
    }

    /// Adds a command, given as its words.
    pub(crate) fn add<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        let start = self.packed.len();
        let key_position = key_position(words);
        let mut key = start..start;
        self.add_length(b'*', words.len());
        for (position, word) in words.iter().enumerate() {
            let word = word.as_ref();
            self.add_length(b'$', word.len());
            if Some(position) == key_position {
                key = self.packed.len()..self.packed.len() + word.len();
            }
            self.packed.extend_from_slice(word);
            self.packed.extend_from_slice(b"\r\n");
        }
        self.commands.push(Command { all: start..self.packed.len(), key });
    }

    fn add_length(&mut self, kind: u8, length: usize) {
        self.packed.push(kind);
        if length >= 10 {
            self.packed.extend_from_slice(length.to_string().as_bytes());
        } else {
            self.packed.push(b"0123456789"[length]);
        }
        self.packed.extend_from_slice(b"\r\n");
    }

    /// Adds a command of others.
    pub(super) fn add_from(&mut self, others: &Self, position: usize) {
        let Command { all, key } = &others.commands[position];
        let start = self.packed.len();
        let moved = |at: usize| at - all.start + start;
        self.packed.extend_from_slice(&others.packed[all.clone()]);
        self.commands.push(Command { all: start..self.packed.len(), key: moved(key.start)..moved(key.end) });
    }

    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// All commands as they are sent.
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The key of each command; every command this exporter sends to a cluster has one.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.commands.iter().map(|command| &self.packed[command.key.clone()])
    }
}

/// The position of the key among the words of a command.
fn key_position<W: AsRef<[u8]>>(words: &[W]) -> Option<usize> {
    let position = match words.first()?.as_ref() {
        b"XINFO" | b"MEMORY" => 2,
        b"XREAD" => words.iter().position(|word| word.as_ref() == b"STREAMS")? + 1,
        _ => 1,
    };
    Some(position)
}

/// A text that matches only itself in a pattern of keys.
pub(crate) fn escape_glob(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_of_a_pattern_are_escaped() {
        assert_eq!(escape_glob("{bull}:a*b[c]"), "{bull}:a\\*b\\[c\\]");
    }

    #[test]
    fn the_key_of_each_command_is_found() {
        for words in [
            "LLEN k",
            "XINFO STREAM k",
            "MEMORY USAGE k SAMPLES 1",
            "XREAD COUNT 100 STREAMS k 0-0",
            "HGET k STREAMS",
            "XRANGE k (1-1 + COUNT 1",
            "XPENDING k g",
        ] {
            let mut commands = Commands::default();
            commands.add(&words.split(' ').collect::<Vec<_>>());
            let mut others = Commands::default();
            others.add(&["PING"]);
            others.add_from(&commands, 0);
            assert!(commands.keys().eq([b"k"]) && others.keys().eq([&b""[..], b"k"]), "{words}");
        }
    }

    #[test]
    fn commands_are_packed_as_arrays_of_strings() {
        let mut commands = Commands::default();
        commands.add(&["LLEN", "a long key"]);
        commands.add(&["PING"]);
        assert_eq!(commands.packed(), b"*2\r\n$4\r\nLLEN\r\n$10\r\na long key\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(commands.len(), 2);
    }
}
