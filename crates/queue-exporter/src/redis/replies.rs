//! Replies of Redis as values, and what its errors mean.

use anyhow::{Context, Error, Result, anyhow};
use redis::{ServerError, Value};

use crate::read_error::{Reason, read_error};

pub(super) const CREDENTIALS_HINT: &str = "check --queue.username, --queue.password-file and the database";

/// The code of an error that no Redis returns: the node responsible for the key did not respond.
const UNAVAILABLE: &str = "UNAVAILABLE";

/// The code and the text of an error.
pub(super) fn error_text(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end().to_owned()
}

/// The meaning of an error in reply to one command.
pub(crate) fn command_error(error: &ServerError) -> Error {
    if let Some(error) = unavailable_error(error) {
        return error;
    }
    let text = format!("the server returned {}", error_text(error));
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
    let text = text.replace(['\r', '\n'], " ");
    redis::parse_redis_value(format!("-{UNAVAILABLE} {} {text}\r\n", reason.name()).as_bytes()).unwrap_or_default()
}

fn unavailable_error(error: &ServerError) -> Option<Error> {
    let (reason, text) = error.details().filter(|_| error.code() == UNAVAILABLE)?.split_once(' ')?;
    Some(read_error(Reason::from_name(reason)?, text))
}

/// The error of a cluster node that sent no reply. Other nodes may have replied to their commands.
pub(crate) fn node_error(reply: &Value) -> Option<Error> {
    match reply {
        Value::ServerError(error) => unavailable_error(error),
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
        Value::BulkString(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.map(Some).with_context(|| format!("expected a count, found {:?}", String::from_utf8_lossy(text)))
        }
        Value::ServerError(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a number in the reply")),
    }
}

/// A string; `None` if the value does not exist.
pub(crate) fn text(reply: &Value) -> Result<Option<&str>> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(text) => Ok(Some(std::str::from_utf8(text).context("the reply is not UTF-8")?)),
        Value::SimpleString(text) => Ok(Some(text)),
        Value::ServerError(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a string in the reply")),
    }
}

/// A list; empty if the value does not exist.
pub(crate) fn list(reply: &Value) -> Result<&[Value]> {
    match reply {
        Value::Nil => Ok(&[]),
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::ServerError(error) => Err(command_error(error)),
        _ => Err(anyhow!("expected a list in the reply")),
    }
}

/// The value of a field in a list of fields and values.
pub(crate) fn field<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    let pairs = list.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    pairs.into_iter().find(|(key, _)| text(key).ok().flatten() == Some(name)).map(|(_, value)| value)
}

/// The names in a list. In a name that is not UTF-8, invalid bytes are replaced: Redis does not find that queue, and
/// only that queue fails.
pub(crate) fn names(reply: &Value) -> Result<Vec<String>> {
    let name = |name: &Value| match name {
        Value::BulkString(name) => Ok(String::from_utf8_lossy(name).into_owned()),
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

    pub(crate) fn next<const N: usize>(&mut self) -> [Value; N] {
        std::array::from_fn(|_| self.0.next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_error::reason;

    #[test]
    fn a_reply_of_another_type_is_an_error_and_nil_is_none() {
        assert_eq!(count(&Value::Nil).unwrap(), None);
        assert_eq!(count(&Value::BulkString(b"12".to_vec())).unwrap(), Some(12));
        for wrong in [Value::Int(-1), Value::BulkString(b"x".to_vec()), Value::Array(Vec::new()), Value::Okay] {
            assert!(count(&wrong).is_err(), "{wrong:?}");
        }
        assert!(text(&Value::BulkString(vec![0xff])).is_err() && list(&Value::Int(1)).is_err());
    }

    #[test]
    fn a_missing_reply_carries_the_reason_of_its_node() {
        let reply = unavailable_reply(Reason::Connect, "Redis at a:1:\r\nrefused");
        let error = node_error(&reply).unwrap();
        assert_eq!((reason(&error), error.to_string()), (Reason::Connect, "Redis at a:1:  refused".to_owned()));
    }
}
