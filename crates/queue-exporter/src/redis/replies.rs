//! Replies of Redis as values, and what its errors mean.

use anyhow::{Context, Error, Result, anyhow};

use super::value::{ServerError, Value};
use crate::read_error::{Reason, read_error};

pub(super) const CREDENTIALS_HINT: &str = "check --queue.username, --queue.password-file and the database";

/// The code of an error that no Redis returns: the node responsible for the key did not respond.
const UNAVAILABLE: &str = "UNAVAILABLE";

/// The meaning of an error in reply to one command.
pub(crate) fn command_error(error: &ServerError) -> Error {
    if let Some(error) = unavailable_error(error) {
        return error;
    }
    let text = format!("the server returned {}", error.text());
    match error.code() {
        "NOAUTH" | "WRONGPASS" => read_error(Reason::Auth, text).context(CREDENTIALS_HINT),
        "NOPERM" => {
            read_error(Reason::Auth, text).context("permission denied: see the required ACL in docs/queue/redis.md")
        }
        "WRONGTYPE" => read_error(Reason::Parse, text),
        _ => read_error(Reason::Protocol, text),
    }
}

/// A reply in place of the one that a node did not send.
pub(super) fn unavailable_reply(reason: Reason, text: &str) -> Value {
    Value::Error(ServerError::new(format!("{UNAVAILABLE} {} {text}", reason.name())))
}

fn unavailable_error(error: &ServerError) -> Option<Error> {
    let (reason, text) = error.text().strip_prefix(UNAVAILABLE)?.strip_prefix(' ')?.split_once(' ')?;
    Some(read_error(Reason::from_name(reason)?, text))
}

/// The error of a cluster node that sent no reply. Other nodes may have replied to their commands.
pub(crate) fn node_error(reply: &Value) -> Option<Error> {
    match reply {
        Value::Error(error) => unavailable_error(error),
        _ => None,
    }
}

/// A whole number from 0; `None` if the value does not exist.
pub(crate) fn count(reply: &Value) -> Result<Option<u64>> {
    match reply {
        Value::Nil => Ok(None),
        Value::Int(number) => {
            Ok(Some(u64::try_from(*number).map_err(|_| anyhow!("expected a count, found {number}"))?))
        }
        Value::String(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.map(Some).with_context(|| format!("expected a count, found {:?}", String::from_utf8_lossy(text)))
        }
        Value::Error(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a number in the reply")),
    }
}

/// A string; `None` if the value does not exist.
pub(crate) fn text(reply: &Value) -> Result<Option<&str>> {
    match reply {
        Value::Nil => Ok(None),
        Value::String(text) => Ok(Some(std::str::from_utf8(text).context("the reply is not UTF-8")?)),
        Value::Error(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a string in the reply")),
    }
}

/// A list; empty if the value does not exist.
pub(crate) fn list(reply: &Value) -> Result<&[Value]> {
    match reply {
        Value::Nil => Ok(&[]),
        Value::Array(values) => Ok(values),
        Value::Error(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a list in the reply")),
    }
}

/// The value of a field in a list of fields and values.
pub(crate) fn field<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    let is_named = |pair: &&[Value]| matches!(&pair[0], Value::String(key) if key == name);
    list.chunks_exact(2).find(is_named).map(|pair| &pair[1])
}

/// The names in a list. In a name that is not UTF-8, invalid bytes are replaced: Redis does not find that queue, and
/// only that queue fails.
pub(crate) fn names(reply: &Value) -> Result<Vec<String>> {
    let name = |name: &Value| match name {
        Value::String(name) => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err(anyhow!("a name in the list of queues is not a string")),
    };
    list(reply)?.iter().map(name).collect()
}

/// The replies to a pipeline with several commands for each of several queues, in order.
pub(crate) struct Replies(std::vec::IntoIter<Value>);

impl Replies {
    pub(crate) fn new(replies: Vec<Value>) -> Self {
        Self(replies.into_iter())
    }

    pub(crate) fn next_one(&mut self) -> Value {
        self.0.next().unwrap_or_default()
    }

    pub(crate) fn next<const N: usize>(&mut self) -> [Value; N] {
        std::array::from_fn(|_| self.next_one())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_error::reason;

    #[test]
    fn a_reply_of_another_type_is_an_error_and_nil_is_none() {
        assert_eq!(count(&Value::Nil).unwrap(), None);
        assert_eq!(count(&Value::String(b"12"[..].into())).unwrap(), Some(12));
        for wrong in [Value::Int(-1), Value::String(b"x"[..].into()), Value::Array(Vec::new())] {
            assert!(count(&wrong).is_err(), "{wrong:?}");
        }
        assert!(text(&Value::String(b"\xff"[..].into())).is_err() && list(&Value::Int(1)).is_err());
    }

    #[test]
    fn a_missing_reply_carries_the_reason_of_its_node() {
        let reply = unavailable_reply(Reason::Connect, "Redis at a:1: refused");
        let error = node_error(&reply).unwrap();
        assert_eq!((reason(&error), error.to_string()), (Reason::Connect, "Redis at a:1: refused".to_owned()));
    }
}
