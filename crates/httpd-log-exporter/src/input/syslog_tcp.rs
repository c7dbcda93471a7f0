//! Syslog over TCP (RFC 6587): accepts connections, and splits them into messages by octet counts or LF.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memchr;

use crate::input::syslog;
use crate::lines::Line;
use crate::metrics::registry::SharedRegistry;

/// The maximum length of a message; longer messages are counted and skipped.
const MAX_MESSAGE: usize = 64 * 1024;
/// The maximum number of connections. A new connection replaces the longest-idle one.
const MAX_CONNECTIONS: usize = 64;

/// Splits the bytes of a connection into messages.
#[derive(Debug, Default)]
struct MessageSplitter {
    /// The incomplete message so far.
    partial: Vec<u8>,
    skipping: Skipping,
}

/// The rest of a message that is too long.
#[derive(Debug, Default)]
enum Skipping {
    #[default]
    Nothing,
    Bytes(usize),
    /// Up to the next LF.
    Line,
}

/// The first message in the received bytes.
enum Frame {
    /// A message with an octet count: the lengths of the count and of the message.
    Counted(usize, usize),
    /// A message terminated by LF: its length.
    Terminated(usize),
    /// An incomplete message.
    Incomplete,
}

impl MessageSplitter {
    /// Adds bytes, and calls `each` for the line and the tag of every message that they complete.
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>, &[u8])) {
        let mut received = std::mem::take(&mut self.partial);
        received.extend_from_slice(bytes);
        let mut rest = self.skip(&received);
        while !rest.is_empty() {
            match first_frame(rest) {
                Frame::Counted(count, length) if length > MAX_MESSAGE => {
                    each(Line::TooLong, b"");
                    self.skipping = Skipping::Bytes(count + length);
                    rest = self.skip(rest);
                }
                Frame::Counted(count, length) if rest.len() >= count + length => {
                    emit(&rest[count..count + length], &mut each);
                    rest = &rest[count + length..];
                }
                Frame::Terminated(length) => {
                    if length > MAX_MESSAGE {
                        each(Line::TooLong, b"");
                    } else {
                        emit(&rest[..length], &mut each);
                    }
                    rest = &rest[length + 1..];
                }
                Frame::Incomplete if rest.len() > MAX_MESSAGE => {
                    each(Line::TooLong, b"");
                    self.skipping = Skipping::Line;
                    rest = &[];
                }
                Frame::Counted(..) | Frame::Incomplete => break,
            }
        }
        let done = received.len() - rest.len();
        received.drain(..done);
        self.partial = received;
    }

    /// Completes the last message at the end of the connection, which may lack its LF.
    fn finish(&mut self, mut each: impl FnMut(Line<'_>, &[u8])) {
        if matches!((first_frame(&self.partial), &self.skipping), (Frame::Incomplete, Skipping::Nothing)) {
            emit(&self.partial, &mut each);
        }
    }

    /// The bytes after a message that is too long.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
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

/// Detects the framing: `123 <190>…` has an octet count, all else ends with LF. A number without a following priority is
/// the start of a line.
fn first_frame(bytes: &[u8]) -> Frame {
    let digits = bytes.iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&bytes[..digits]).ok().and_then(|digits| digits.parse().ok());
    match (&bytes[digits..], number) {
        ([b' ', b'<', ..], Some(length)) if length > 0 => Frame::Counted(digits + 1, length),
        _ => memchr(b'\n', bytes).map_or(Frame::Incomplete, Frame::Terminated),
    }
}

fn emit(message: &[u8], each: &mut impl FnMut(Line<'_>, &[u8])) {
    let line = syslog::line(message);
    if !line.is_empty() {
        each(Line::Whole(line), syslog::tag(message));
    }
}

/// A connection.
#[derive(Debug)]
struct Connection {
    number: u64,
    stream: TcpStream,
    last_received: Instant,
}

/// All open connections.
type Connections = Arc<Mutex<Vec<Connection>>>;

/// Accepts connections until the process exits, and starts a thread for each. It waits for `retry` after an error.
pub(crate) fn serve(listener: &TcpListener, index: usize, registry: &SharedRegistry, retry: Duration) {
    let connections = Connections::default();
    registry.lock().logs[index].evicted_connections = Some(0);
    for (number, accepted) in (0..).zip(listener.incoming()) {
        let served = accepted.and_then(|stream| {
            if close_idle(&connections) {
                count_evicted(registry, index);
            }
            let connection = Connection { number, stream: stream.try_clone()?, last_received: Instant::now() };
            lock(&connections).push(connection);
            let (connections, registry) = (connections.clone(), registry.clone());
            thread::Builder::new().name("syslog".to_owned()).spawn(move || {
                read(stream, number, &connections, index, &registry);
                lock(&connections).retain(|connection| connection.number != number);
            })
        });
        let mut registry = registry.lock();
        let log = &mut registry.logs[index];
        log.fault = served.as_ref().err().map(|error| format!("cannot accept syslog: {error}"));
        if served.is_err() {
            log.read_errors += 1;
            drop(registry);
            lock(&connections).retain(|connection| connection.number != number);
            thread::sleep(retry); // file descriptors may be exhausted
        }
    }
}

/// Closes the longest-idle connection if the limit is reached: its host may have crashed. Returns whether it did.
fn close_idle(connections: &Connections) -> bool {
    let mut connections = lock(connections);
    if connections.len() < MAX_CONNECTIONS {
        return false;
    }
    let idle = (0..connections.len()).min_by_key(|&at| connections[at].last_received);
    let idle = idle.map(|at| connections.swap_remove(at));
    drop(connections);
    idle.is_some_and(|idle| idle.stream.shutdown(Shutdown::Both).is_ok()) // its thread then exits
}

fn count_evicted(registry: &SharedRegistry, index: usize) {
    let count = {
        let evicted = &mut registry.lock().logs[index].evicted_connections;
        *evicted = Some(evicted.unwrap_or_default() + 1);
        *evicted
    };
    if count == Some(1) {
        tracing::warn!(
            "syslog connection limit ({MAX_CONNECTIONS}) reached; closing the longest-idle connection; later ones are only counted"
        );
    }
}

/// Counts the lines of one connection until it closes.
fn read(mut stream: TcpStream, number: u64, connections: &Connections, index: usize, registry: &SharedRegistry) {
    let mut splitter = MessageSplitter::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break, // the client is gone; its complete messages are counted
        };
        if let Some(connection) = lock(connections).iter_mut().find(|connection| connection.number == number) {
            connection.last_received = Instant::now();
        }
        let mut registry = registry.lock();
        splitter.feed(&buffer[..read], |line, tag| registry.count_message(index, line, tag));
        registry.logs[index].read_bytes += read as u64;
    }
    splitter.finish(|line, tag| registry.lock().count_message(index, line, tag));
}

fn lock(connections: &Connections) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner) // the list is valid after a panic, too
}

/// The lines of a connection that is received in these chunks.
#[cfg(any(test, fuzzing))]
pub(crate) fn lines<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let (mut splitter, mut seen) = (MessageSplitter::default(), Vec::new());
    let mut each = |line: Line<'_>, _: &[u8]| {
        seen.push(match line {
            Line::Whole(line) => Some(line.to_vec()),
            Line::TooLong | Line::OtherStream => None,
        });
    };
    for chunk in chunks {
        splitter.feed(chunk, &mut each);
    }
    splitter.finish(each);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<134>1 2026-11-20T09:26:10Z web1 nginx 42 - - ";

    /// The lines as text; `None` for a line that is too long.
    fn read(stream: &[u8], size: usize) -> Vec<Option<String>> {
        let text = |line: Option<Vec<u8>>| line.map(|line| String::from_utf8(line).unwrap());
        lines(stream.chunks(size)).into_iter().map(text).collect()
    }

    #[test]
    fn both_framings_are_read_in_chunks_of_any_size() {
        let counted = |line: &str| format!("{} {HEADER}{line}", HEADER.len() + line.len());
        let stream = [
            &counted("one\ntwo"),
            &counted("three"),
            &format!("{HEADER}four\n<190>Nov 20 09:26:10 web1 nginx: five\r\n\n192.0.2.7 six\n"),
            &counted("seven"),
            "eight",
        ]
        .concat();
        let expected = ["one\ntwo", "three", "four", "five", "192.0.2.7 six", "seven", "eight"];
        for size in 1..stream.len() {
            let read = read(stream.as_bytes(), size);
            assert_eq!(read.iter().flatten().collect::<Vec<_>>(), expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_counted_once_and_the_next_one_is_read() {
        let long = "x".repeat(MAX_MESSAGE + 1);
        let stream = format!("{} <1>{long}<1>next\n<1>{long}\n<1>last\n", long.len() + 3);
        for size in [1000, 65_536, 1 << 20] {
            let expected = [None, Some("next".to_owned()), None, Some("last".to_owned())];
            assert!(read(stream.as_bytes(), size) == expected, "chunks of {size}");
        }
    }

    #[test]
    fn an_incomplete_message_with_an_octet_count_is_dropped() {
        assert_eq!(read(b"100 <1>cut", 3), []);
        assert_eq!(read(b"9999999 <1>cut", 3), [None]);
    }
}
