//! The URL of the status page. It may contain a password, which no message shows.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use reqwest::Url;

use super::stream::StreamAddress;

/// The URL of a page.
#[derive(Clone)]
pub(crate) enum AppUrl {
    /// `http://host:port/path` or `https://…`; these always have a host.
    Http(Url),
    /// `unix:/run/app.sock:/path`: HTTP over a Unix socket.
    Socket { socket: PathBuf, url: Url },
    /// `tcp://host:port` or `socket:/run/app.sock`: a socket that sends the page without HTTP, after this request or the
    /// configured one.
    Stream { address: StreamAddress, request: Option<String> },
    /// `file:page.json`: a file that another program writes, or a sample.
    File(PathBuf),
}

impl AppUrl {
    /// Parses a URL. The error does not repeat it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLES: &str = "write it as http://host:port/path, https://..., unix:/run/app.sock:/path, \
             tcp://host:port, socket:/run/app.sock or file:page.json";
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(format!("missing file name: {EXAMPLES}"))
            } else {
                Ok(Self::File(path.into()))
            };
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let (socket, page) = rest.split_once(":/").unwrap_or((rest, ""));
            // the application receives this name as Host
            let url =
                Url::parse(&format!("http://localhost/{page}")).map_err(|_| format!("invalid path: {EXAMPLES}"))?;
            return match socket.is_empty() {
                true => Err(format!("missing socket path: {EXAMPLES}")),
                false => Ok(Self::Socket { socket: socket.into(), url }),
            };
        }
        if let Some(address) = StreamAddress::parse(text) {
            let address = address.map_err(|why| format!("{why}: {EXAMPLES}"))?;
            return Ok(Self::Stream { address, request: None });
        }
        let url = Url::parse(text).map_err(|error| match text.contains(':') {
            true => format!("not a URL ({error}): {EXAMPLES}"),
            false => format!("not a URL (no scheme): {EXAMPLES}"),
        })?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            scheme => Err(format!("unsupported scheme {scheme}: {EXAMPLES}")),
        }
    }

    /// The URL of another page of the same application: an absolute path, or a path relative to this page. For a socket
    /// without HTTP, it is the request to send.
    pub(crate) fn join(&self, page: &str) -> Result<Self, String> {
        if page.is_empty() {
            return Ok(self.clone());
        }
        let join = |base: &Url| {
            let url = base.join(page).ok().filter(|url| url.origin() == base.origin());
            url.ok_or_else(|| {
                format!("{page:?} is not a path of the application: run another exporter for another host or port")
            })
        };
        match self {
            Self::Http(url) => join(url).map(Self::Http),
            Self::Socket { socket, url } => Ok(Self::Socket { socket: socket.clone(), url: join(url)? }),
            Self::Stream { address, .. } => {
                Ok(Self::Stream { address: address.clone(), request: Some(page.to_owned()) })
            }
            Self::File(path) => {
                let name = page.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
                Ok(Self::File(path.with_file_name("").join(name)))
            }
        }
    }

    /// The path of the page, without the query; for a socket without HTTP, the request of this page or else the address.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Http(url) | Self::Socket { url, .. } => url.path().to_owned(),
            Self::Stream { request: Some(request), .. } => request.clone(),
            Self::Stream { address, request: None } => address.to_string(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The URL for messages: with its port, without credentials and query.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::Http(url) => redacted(url),
            Self::Socket { socket, url } => format!("unix:{}:{}", socket.display(), url.path()),
            Self::Stream { address, request: None } => address.to_string(),
            Self::Stream { address, request: Some(request) } => format!("{address} ({request})"),
            Self::File(path) => format!("file:{}", path.display()),
        }
    }
}

/// A URL for messages: with its port, without credentials and query.
pub(crate) fn redacted(url: &Url) -> String {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{}://{host}:{port}{}", url.scheme(), url.path())
}

/// Parses the flag. The error message of clap's own parsers would show the whole value.
#[derive(Clone)]
pub(crate) struct AppUrlParser;

impl TypedValueParser for AppUrlParser {
    type Value = AppUrl;

    fn parse_ref(&self, _: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        AppUrl::parse(&value.to_string_lossy()).map_err(|message| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let mut error =
                clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{arg}': {message}"));
            error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_http_sockets_and_files_are_accepted() {
        for (text, redacted) in [
            ("http://localhost/status", "http://localhost:80/status"),
            ("https://[::1]:8443", "https://[::1]:8443/"),
            ("http://user:secret@app:5000/s?token=secret", "http://app:5000/s"),
            ("unix:/run/app.sock:/status?token=secret", "unix:/run/app.sock:/status"),
            ("unix:///run/app.sock:/status", "unix:/run/app.sock:/status"),
            ("unix:/run/app.sock", "unix:/run/app.sock:/"),
            ("tcp://app:5000", "tcp://app:5000"),
            ("socket:/run/app.sock", "socket:/run/app.sock"),
            ("file:sample.json", "file:sample.json"),
            ("file:///tmp/sample.json", "file:/tmp/sample.json"),
        ] {
            assert_eq!(AppUrl::parse(text).map(|url| url.redacted()).as_deref(), Ok(redacted), "{text}");
        }
    }

    #[test]
    fn other_urls_are_rejected_without_repeating_them() {
        for text in [
            "",
            "secret",
            "localhost:80/secret",
            "ftp://u:secret@host/",
            "http://",
            "http://h:99999/secret",
            "unix:",
            "file:",
            "tcp://user:secret@host:1",
            "tcp://host:1/secret",
            "socket:secret",
        ] {
            let message = AppUrl::parse(text).map(|url| url.redacted()).unwrap_err();
            assert!(!message.contains("secret") && message.contains("http://host:port/path"), "{text}: {message}");
        }
    }

    #[test]
    fn additional_pages_are_of_the_same_application() {
        for (text, page, redacted) in [
            ("http://app:5000/status", "/queues", "http://app:5000/queues"),
            ("http://app:5000/a/status", "queues?x=1", "http://app:5000/a/queues"),
            ("http://app:5000/status", "http://app:5000/other", "http://app:5000/other"),
            ("unix:/run/app.sock:/status", "/queues", "unix:/run/app.sock:/queues"),
            ("file:samples/status.json", "/queues.json", "file:samples/queues.json"),
            ("file:status.json", "", "file:status.json"),
            ("tcp://app:5000", "", "tcp://app:5000"),
            ("tcp://app:5000", "show stat", "tcp://app:5000 (show stat)"),
        ] {
            let url = AppUrl::parse(text).and_then(|url| url.join(page));
            assert_eq!(url.map(|url| url.redacted()).as_deref(), Ok(redacted), "{text} {page}");
        }
        for page in ["http://other/", "//other/x", "http://app:5001/", "file:///etc/passwd"] {
            let url = AppUrl::parse("http://app:5000/status").and_then(|url| url.join(page));
            assert!(url.is_err(), "{page}");
        }
    }
}
