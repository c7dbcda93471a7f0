//! Replies of Redis as values, and their decoder (RESP 2).

use anyhow::Result;
use bytes::{Buf, Bytes, BytesMut};

use crate::read_error::{Reason, read_error};

/// A reply to a command. Its strings are parts of the received data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Nil,
    Int(i64),
    String(Bytes),
    Array(Vec<Value>),
    Error(ServerError),
}

/// An error that Redis returns in reply to one command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerError(String);

impl ServerError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The code and the details.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn details(&self) -> &str {
        self.0.split_once(' ').map_or("", |(_, details)| details)
    }
}

/// Decodes received data, which may end anywhere in a reply.
#[derive(Default)]
pub(super) struct Decoder {
    /// The arrays whose items are not complete: the number of all items, and those decoded so far.
    arrays: Vec<(usize, Vec<Value>)>,
}

/// The largest depth of arrays in arrays. The replies that the exporter reads have at most six.
const MAX_DEPTH: usize = 32;

/// The longest line: an error, or the length of a string or an array.
const MAX_LINE: usize = 64 * 1024;

/// The largest number of items for which memory is reserved before they are received.
const MAX_RESERVED: usize = 1024;

/// The longest string that Redis can return by default.
const MAX_STRING: usize = 512 << 20;

/// The next part of a reply.
enum Part {
    Value(Value),
    /// The start of an array with this number of items.
    Array(usize),
}

impl Decoder {
    /// Removes the next reply from the data; `None` if its end was not received yet.
    pub(super) fn next(&mut self, data: &mut BytesMut) -> Result<Option<Value>> {
        while let Some(part) = next_part(data)? {
            let value = match part {
                Part::Value(value) => value,
                Part::Array(0) => Value::Array(Vec::new()),
                Part::Array(_) if self.arrays.len() == MAX_DEPTH => return Err(invalid("too many nested arrays")),
                Part::Array(number) => {
                    self.arrays.push((number, Vec::with_capacity(number.min(MAX_RESERVED))));
                    continue;
                }
            };
            if let Some(reply) = self.add(value) {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Adds a complete value, and returns the reply if it is complete too.
    fn add(&mut self, mut value: Value) -> Option<Value> {
        while let Some((number, items)) = self.arrays.last_mut() {
            items.push(value);
            if items.len() < *number {
                return None;
            }
            value = Value::Array(std::mem::take(items));
            self.arrays.pop();
        }
        Some(value)
    }
}

/// Removes the next part of a reply: a line, which a string follows if it is the length of one.
fn next_part(data: &mut BytesMut) -> Result<Option<Part>> {
    let Some(end) = data.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if data.len() < MAX_LINE { Ok(None) } else { Err(invalid("a line is too long")) };
    };
    let [kind, line @ .., b'\r'] = &data[..end] else { return Err(invalid("expected a reply")) };
    let value = match kind {
        b'+' => Value::String(Bytes::copy_from_slice(line)),
        b'-' => Value::Error(ServerError::new(String::from_utf8_lossy(line))),
        b':' => Value::Int(number(line)?),
        b'$' | b'*' => match (kind, usize::try_from(number(line)?)) {
            (_, Err(_)) => Value::Nil,
            (b'$', Ok(length)) => return next_string(data, end + 1, length),
            (_, Ok(length)) => {
                data.advance(end + 1);
                return Ok(Some(Part::Array(length)));
            }
        },
        _ => return Err(invalid("expected a reply")),
    };
    data.advance(end + 1);
    Ok(Some(Part::Value(value)))
}

/// Removes a string of a known length and its line.
fn next_string(data: &mut BytesMut, start: usize, length: usize) -> Result<Option<Part>> {
    if length > MAX_STRING {
        return Err(invalid("a string is too long"));
    }
    match data.get(start + length..start + length + 2) {
        None => return Ok(None),
        Some(b"\r\n") => {}
        Some(_) => return Err(invalid("a string has another length")),
    }
    data.advance(start);
    let string = data.split_to(length).freeze();
    data.advance(2);
    Ok(Some(Part::Value(Value::String(string))))
}

fn number(line: &[u8]) -> Result<i64> {
    let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    number.ok_or_else(|| invalid("expected a number"))
}

fn invalid(text: &str) -> anyhow::Error {
    read_error(Reason::Protocol, format!("not the protocol of Redis: {text}"))
}

/// The first reply in the data.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode(data: &[u8]) -> Result<Option<Value>> {
    Decoder::default().next(&mut data.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[u8] = b"+OK\r\n:-7\r\n$-1\r\n$4\r\na\r\nb\r\n*0\r\n*-1\r\n-ERR no such key\r\n\
                             *3\r\n*2\r\n$0\r\n\r\n*1\r\n:1\r\n-MOVED\r\n$1\r\nx\r\n";

    fn replies(parts: impl Iterator<Item = &'static [u8]>) -> Vec<Value> {
        let (mut decoder, mut data, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
        for part in parts {
            data.extend_from_slice(part);
            while let Some(reply) = decoder.next(&mut data).unwrap() {
                replies.push(reply);
            }
        }
        assert!(data.is_empty() && decoder.arrays.is_empty());
        replies
    }

    #[test]
    fn replies_are_decoded_wherever_the_received_data_ends() {
        let string = |text: &'static str| Value::String(text.into());
        let error = |text| Value::Error(ServerError::new(text));
        let nested = Value::Array(vec![string(""), Value::Array(vec![Value::Int(1)])]);
        let expected = vec![
            string("OK"),
            Value::Int(-7),
            Value::Nil,
            string("a\r\nb"),
            Value::Array(Vec::new()),
            Value::Nil,
            error("ERR no such key"),
            Value::Array(vec![nested, error("MOVED"), string("x")]),
        ];
        assert_eq!(replies([REPLIES].into_iter()), expected);
        assert_eq!(replies(REPLIES.chunks(1)), expected);
        assert_eq!(replies(REPLIES.chunks(3)), expected);
    }

    #[test]
    fn an_error_has_a_code_and_details() {
        let error = ServerError::new("ERR no such key");
        assert_eq!((error.code(), error.details(), error.text()), ("ERR", "no such key", "ERR no such key"));
        assert_eq!((ServerError::new("MOVED").code(), ServerError::new("MOVED").details()), ("MOVED", ""));
    }

    #[test]
    fn data_that_is_not_the_protocol_is_an_error() {
        let deep = "*1\r\n".repeat(MAX_DEPTH + 1);
        let long = "+".repeat(MAX_LINE);
        for wrong in
            ["HTTP/1.1 400 Bad Request\r\n", "\r\n", "+\n", ":x\r\n", "$1\r\nabc", "$999999999999\r\n", &deep, &long]
        {
            assert!(decode(wrong.as_bytes()).is_err(), "{}", &wrong[..wrong.len().min(20)]);
        }
        assert_eq!(decode(b"*99999999999\r\n:1\r\n").unwrap(), None, "memory is not reserved for all items");
    }
}
