//! Syslog over TCP: connections, and the messages in their bytes (RFC 6587), counted in octets or ended by LF.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use memchr::memchr;

use crate::input::syslog;
use crate::lines::Line;
use crate::metrics::registry::SharedRegistry;

/// The longest message; longer ones are counted and skipped.
const MAX_MESSAGE: usize = 64 * 1024;
/// How many connections there may be; the one that was silent for longest makes room for a new one.
const MAX_CONNECTIONS: usize = 64;

/// Where a connection is in its messages.
#[derive(Debug, Default)]
struct Messages {
    /// The beginning of a message whose end was not yet received.
    begun: Vec<u8>,
    skipping: Skipping,
}

/// What is left out of a message that is too long.
#[derive(Debug, Default)]
enum Skipping {
    #[default]
    Nothing,
    Bytes(usize),
    /// Up to the next LF.
    Line,
}

/// What the bytes of a connection begin with.
enum Next {
    /// A message of this many bytes, after as many of its head.
    Counted(usize, usize),
    /// A message of this many bytes, and its LF.
    Ended(usize),
    /// A message of which not all is there.
    Begun,
}

impl Messages {
    /// Takes the next bytes and hands over the line of every message that ends in them.
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        let mut rest = self.skipped(&begun);
        while !rest.is_empty() {
            match next(rest) {
                Next::Counted(head, length) if length > MAX_MESSAGE => {
                    each(Line::TooLong);
                    self.skipping = Skipping::Bytes(head + length);
                    rest = self.skipped(rest);
                }
                Next::Counted(head, length) if rest.len() >= head + length => {
                    hand_over(&rest[head..head + length], &mut each);
                    rest = &rest[head + length..];
                }
                Next::Ended(length) => {
                    if length > MAX_MESSAGE {
                        each(Line::TooLong);
                    } else {
                        hand_over(&rest[..length], &mut each);
                    }
                    rest = &rest[length + 1..];
                }
                Next::Begun if rest.len() > MAX_MESSAGE => {
                    each(Line::TooLong);
                    self.skipping = Skipping::Line;
                    rest = &[];
                }
                Next::Counted(..) | Next::Begun => break,
            }
        }
        let done = begun.len() - rest.len();
        begun.drain(..done);
        self.begun = begun;
    }

    /// Ends the connection: a message that only lacks its LF is one.
    fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if matches!((next(&self.begun), &self.skipping), (Next::Begun, Skipping::Nothing)) {
            hand_over(&self.begun, &mut each);
        }
    }

    /// What follows a message that is too long.
    fn skipped<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (rest, skipping) = match self.skipping {
            Skipping::Nothing => (bytes, Skipping::Nothing),
            Skipping::Bytes(left) if left > bytes.len() => (&bytes[bytes.len()..], Skipping::Bytes(left - bytes.len())),
            Skipping::Bytes(left) => (&bytes[left..], Skipping::Nothing),
            Skipping::Line => match memchr(b'\n', bytes) {
                Some(end) => (&bytes[end + 1..], Skipping::Nothing),
                None => (&bytes[bytes.len()..], Skipping::Line),
            },
        };
        self.skipping = skipping;
        rest
    }
}

/// `123 <190>…` is counted, anything else ends with LF. A line may begin with a number, a message does not go on without
/// its priority.
fn next(bytes: &[u8]) -> Next {
    let digits = bytes.iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok().and_then(|digits| digits.parse().ok());
    match (&bytes[digits..], number) {
        ([b' ', b'<', ..], Some(length)) if length > 0 => Next::Counted(digits + 1, length),
        _ => memchr(b'\n', bytes).map_or(Next::Begun, Next::Ended),
    }
}

fn hand_over(message: &[u8], each: &mut impl FnMut(Line<'_>)) {
    let line = syslog::line(message);
    if !line.is_empty() {
        each(Line::Whole(line));
    }
}

/// A connection and when it was last heard of.
#[derive(Debug)]
struct Peer {
    number: u64,
    stream: TcpStream,
    heard: Instant,
}

/// The connections there are.
type Peers = Arc<Mutex<Vec<Peer>>>;

/// Accepts connections for as long as the process lives, and reads each on a thread of its own.
pub(crate) fn serve(listener: &TcpListener, index: usize, registry: &SharedRegistry) {
    let peers = Peers::default();
    for (number, accepted) in (0..).zip(listener.incoming()) {
        let served = accepted.and_then(|stream| {
            make_room(&peers);
            let peer = Peer { number, stream: stream.try_clone()?, heard: Instant::now() };
            lock(&peers).push(peer);
            let (peers, registry) = (peers.clone(), registry.clone());
            thread::Builder::new().name("syslog".to_owned()).spawn(move || {
                read(stream, number, &peers, index, &registry);
                lock(&peers).retain(|peer| peer.number != number);
            })
        });
        let mut registry = registry.lock();
        let log = &mut registry.logs[index];
        log.fault = served.as_ref().err().map(|error| format!("cannot accept syslog: {error}"));
        if served.is_err() {
            log.read_errors += 1;
            drop(registry);
            lock(&peers).retain(|peer| peer.number != number);
            thread::sleep(crate::input::stream::RETRY); // there may be no descriptors left
        }
    }
}

/// Ends the connection that was silent for longest if there are too many: its host may be gone without a word.
fn make_room(peers: &Peers) {
    let mut peers = lock(peers);
    if peers.len() < MAX_CONNECTIONS {
        return;
    }
    if let Some(at) = (0..peers.len()).min_by_key(|&at| peers[at].heard) {
        let peer = peers.swap_remove(at);
        tracing::warn!("more than {MAX_CONNECTIONS} connections of syslog; the one that was silent for longest ends");
        let _ = peer.stream.shutdown(Shutdown::Both); // its thread ends with it
    }
}

/// Counts the lines of one connection until it ends.
fn read(mut stream: TcpStream, number: u64, peers: &Peers, index: usize, registry: &SharedRegistry) {
    let mut messages = Messages::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break, // the client has gone; what it had sent is counted
        };
        if let Some(peer) = lock(peers).iter_mut().find(|peer| peer.number == number) {
            peer.heard = Instant::now();
        }
        let mut registry = registry.lock();
        messages.feed(&buffer[..read], |line| registry.count_message(index, line));
        registry.logs[index].read_bytes += read as u64;
    }
    messages.finish(|line| registry.lock().count_message(index, line));
}

fn lock(peers: &Peers) -> std::sync::MutexGuard<'_, Vec<Peer>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner) // the list is whole at any time
}

/// The lines of a connection whose bytes come in these pieces, for fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let (mut messages, mut seen) = (Messages::default(), Vec::new());
    let mut each = |line: Line<'_>| {
        seen.push(match line {
            Line::Whole(line) => Some(line.to_vec()),
            Line::TooLong => None,
        });
    };
    for piece in pieces {
        messages.feed(piece, &mut each);
    }
    messages.finish(each);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<134>1 2026-11-20T09:26:10Z web1 nginx 42 - - ";

    /// Lines as text, `None` for one that was too long.
    fn read(stream: &[u8], size: usize) -> Vec<Option<String>> {
        let text = |line: Option<Vec<u8>>| line.map(|line| String::from_utf8(line).unwrap());
        lines(stream.chunks(size)).into_iter().map(text).collect()
    }

    #[test]
    fn messages_are_counted_in_octets_or_end_with_lf_wherever_a_read_cuts_them() {
        let counted = |line: &str| format!("{} {HEAD}{line}", HEAD.len() + line.len());
        let stream = [
            &counted("one\ntwo"),
            &counted("three"),
            &format!("{HEAD}four\n<190>Nov 20 09:26:10 web1 nginx: five\r\n\n192.0.2.7 six\n"),
            &counted("seven"),
            "eight",
        ]
        .concat();
        let expected = ["one\ntwo", "three", "four", "five", "192.0.2.7 six", "seven", "eight"];
        for size in 1..stream.len() {
            let read = read(stream.as_bytes(), size);
            assert_eq!(read.iter().flatten().collect::<Vec<_>>(), expected, "pieces of {size}");
        }
    }

    #[test]
    fn messages_that_are_too_long_count_once_and_the_next_ones_are_read() {
        let long = "x".repeat(MAX_MESSAGE + 1);
        let stream = format!("{} <1>{long}<1>next\n<1>{long}\n<1>last\n", long.len() + 3);
        for size in [1000, 65_536, 1 << 20] {
            let expected = [None, Some("next".to_owned()), None, Some("last".to_owned())];
            assert!(read(stream.as_bytes(), size) == expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_counted_message_that_was_cut_off_is_none() {
        assert_eq!(read(b"100 <1>cut", 3), []);
        assert_eq!(read(b"9999999 <1>cut", 3), [None]);
    }
}
