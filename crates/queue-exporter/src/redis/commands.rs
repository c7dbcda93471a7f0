//! Commands in a pipeline, their keys, and patterns of keys.

use redis::{Arg, Cmd, Pipeline, ToRedisArgs};

/// Adds a command, given as its words.
pub(crate) fn add_command<A: ToRedisArgs>(commands: &mut Pipeline, words: &[A]) {
    let mut command = Cmd::new();
    command.arg(words);
    commands.add_command(command);
}

/// The key of a command; every command this exporter sends to a cluster has one.
pub(super) fn key(command: &Cmd) -> Option<&[u8]> {
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
        let command = |words: &str| {
            let mut command = Cmd::new();
            command.arg(words.split(' ').collect::<Vec<_>>());
            command
        };
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
}
