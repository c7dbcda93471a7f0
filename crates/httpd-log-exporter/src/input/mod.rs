//! The inputs that `--access-log` can name: files, standard input, a FIFO, or a syslog socket.

pub(crate) mod stream;
pub(crate) mod syslog;
pub(crate) mod syslog_tcp;

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use anyhow::Result;

use crate::input::stream::InputStream;
use crate::tail::log_paths::LogPaths;

/// A parsed value of `--access-log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Files(LogPaths),
    Stdin,
    Fifo(PathBuf),
    Udp(String),
    Tcp(String),
    Unix(PathBuf),
}

impl Input {
    /// Parses a value, and checks whether a path is a FIFO.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fifo = || std::fs::metadata(text).is_ok_and(|metadata| metadata.file_type().is_fifo());
        match text {
            "" => Err("empty path".to_owned()),
            "-" => Ok(Self::Stdin),
            _ => match text.strip_prefix("syslog+") {
                Some(syslog) => Self::syslog(syslog).ok_or_else(|| {
                    "expected syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or syslog+unix:/PATH".to_owned()
                }),
                None if fifo() => Ok(Self::Fifo(text.into())),
                None => Ok(Self::Files(LogPaths::parse(text))),
            },
        }
    }

    fn syslog(text: &str) -> Option<Self> {
        match text.split_once("://") {
            Some(("udp", at)) => address(at).map(Self::Udp),
            Some(("tcp", at)) => address(at).map(Self::Tcp),
            _ => text.strip_prefix("unix:").filter(|path| path.starts_with('/')).map(|path| Self::Unix(path.into())),
        }
    }

    /// Opens the stream; `None` for files.
    pub(crate) fn stream(&self) -> Result<Option<InputStream>> {
        Ok(match self {
            Self::Files(_) => None,
            Self::Stdin => Some(InputStream::Stdin),
            Self::Fifo(path) => Some(InputStream::Fifo(path.clone())),
            Self::Udp(address) => Some(InputStream::udp(address)?),
            Self::Tcp(address) => Some(InputStream::tcp(address)?),
            Self::Unix(path) => Some(InputStream::unix(path)?),
        })
    }
}

/// Parses HOST:PORT. An empty host means all interfaces.
fn address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_input_follows_from_its_syntax() {
        let parse = |text: &str| Input::parse(text).unwrap();
        assert_eq!(parse("-"), Input::Stdin);
        assert_eq!(parse("syslog+udp://127.0.0.1:5514"), Input::Udp("127.0.0.1:5514".to_owned()));
        assert_eq!(parse("syslog+udp://:514"), Input::Udp("0.0.0.0:514".to_owned()));
        assert_eq!(parse("syslog+udp://[::1]:514"), Input::Udp("[::1]:514".to_owned()));
        assert_eq!(parse("syslog+tcp://:601"), Input::Tcp("0.0.0.0:601".to_owned()));
        assert_eq!(parse("syslog+unix:/run/x"), Input::Unix("/run/x".into()));
        assert_eq!(parse("logs/x.log"), Input::Files(LogPaths::Path("logs/x.log".into())));
        assert_eq!(parse("/var/log/nginx/*.log"), Input::Files(LogPaths::Glob("/var/log/nginx/*.log".into())));
        for text in
            ["", "syslog+udp://127.0.0.1", "syslog+udp://x:port", "syslog+sctp://:514", "syslog+unix:x", "syslog+"]
        {
            assert!(Input::parse(text).is_err(), "{text}");
        }
    }
}
