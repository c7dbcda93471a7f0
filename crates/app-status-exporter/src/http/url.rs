//! `--app.url`: where the status page is. It may hold a password, which no message shows.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use reqwest::Url;

/// Where a page is.
#[derive(Clone)]
pub(crate) enum AppUrl {
    /// `http://host:port/path` or `https://…`, which have a host, or they are no URL.
    Http(Url),
    /// `unix:/run/app.sock:/path`: HTTP through a socket of this host.
    Socket { socket: PathBuf, url: Url },
    /// `file:page.json`: a page that something else writes, or a sample.
    File(PathBuf),
}

impl AppUrl {
    fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLES: &str =
            "write it as http://host:port/path, https://..., unix:/run/app.sock:/path or file:page.json";
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(format!("no file is named, {EXAMPLES}"))
            } else {
                Ok(Self::File(path.into()))
            };
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let (socket, page) = rest.split_once(":/").unwrap_or((rest, ""));
            // the name is what the application sees as Host
            let url = Url::parse(&format!("http://localhost/{page}")).map_err(|_| format!("no path, {EXAMPLES}"))?;
            return match socket.is_empty() {
                true => Err(format!("no socket is named, {EXAMPLES}")),
                false => Ok(Self::Socket { socket: socket.into(), url }),
            };
        }
        let url = Url::parse(text).map_err(|error| format!("no URL ({error}), {EXAMPLES}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            scheme => Err(format!("it begins with {scheme}:, and not with http:// or https://, {EXAMPLES}")),
        }
    }

    /// Another page of the same application: a path, absolute or relative to this one.
    pub(crate) fn join(&self, page: &str) -> Result<Self, String> {
        if page.is_empty() {
            return Ok(self.clone());
        }
        let join = |base: &Url| {
            let url = base.join(page).ok().filter(|url| url.origin() == base.origin());
            url.ok_or_else(|| {
                format!("{page:?} is no path at the application: for another host or port run another exporter")
            })
        };
        match self {
            Self::Http(url) => join(url).map(Self::Http),
            Self::Socket { socket, url } => Ok(Self::Socket { socket: socket.clone(), url: join(url)? }),
            Self::File(path) => {
                let name = page.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
                Ok(Self::File(path.with_file_name("").join(name)))
            }
        }
    }

    /// The URL for people: with its port, without credentials and query.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::Http(url) => redacted(url),
            Self::Socket { socket, url } => format!("unix:{}:{}", socket.display(), url.path()),
            Self::File(path) => format!("file:{}", path.display()),
        }
    }
}

/// A URL for people.
pub(crate) fn redacted(url: &Url) -> String {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{}://{host}:{port}{}", url.scheme(), url.path())
}

/// Reads the flag. clap's own message would show the whole value.
#[derive(Clone)]
pub(crate) struct Parser;

impl TypedValueParser for Parser {
    type Value = AppUrl;

    fn parse_ref(&self, _: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        AppUrl::parse(&value.to_string_lossy()).map_err(|fault| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let mut error = clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{arg}': {fault}"));
            error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_http_sockets_and_files_are_taken() {
        for (text, place) in [
            ("http://localhost/status", "http://localhost:80/status"),
            ("https://[::1]:8443", "https://[::1]:8443/"),
            ("http://user:secret@app:5000/s?token=secret", "http://app:5000/s"),
            ("unix:/run/app.sock:/status?token=secret", "unix:/run/app.sock:/status"),
            ("unix:///run/app.sock:/status", "unix:/run/app.sock:/status"),
            ("unix:/run/app.sock", "unix:/run/app.sock:/"),
            ("file:sample.json", "file:sample.json"),
            ("file:///tmp/sample.json", "file:/tmp/sample.json"),
        ] {
            assert_eq!(AppUrl::parse(text).map(|url| url.redacted()).as_deref(), Ok(place), "{text}");
        }
    }

    #[test]
    fn any_other_is_refused_without_being_repeated() {
        for text in [
            "",
            "secret",
            "localhost:80/secret",
            "ftp://u:secret@host/",
            "http://",
            "http://h:99999/secret",
            "unix:",
            "file:",
        ] {
            let fault = AppUrl::parse(text).map(|url| url.redacted()).unwrap_err();
            assert!(!fault.contains("secret") && fault.contains("http://host:port/path"), "{text}: {fault}");
        }
    }

    #[test]
    fn further_pages_are_at_the_same_application() {
        for (text, page, place) in [
            ("http://app:5000/status", "/queues", "http://app:5000/queues"),
            ("http://app:5000/a/status", "queues?x=1", "http://app:5000/a/queues"),
            ("http://app:5000/status", "http://app:5000/other", "http://app:5000/other"),
            ("unix:/run/app.sock:/status", "/queues", "unix:/run/app.sock:/queues"),
            ("file:samples/status.json", "/queues.json", "file:samples/queues.json"),
            ("file:status.json", "", "file:status.json"),
        ] {
            let url = AppUrl::parse(text).and_then(|url| url.join(page));
            assert_eq!(url.map(|url| url.redacted()).as_deref(), Ok(place), "{text} {page}");
        }
        for page in ["http://other/", "//other/x", "http://app:5001/", "file:///etc/passwd"] {
            let url = AppUrl::parse("http://app:5000/status").and_then(|url| url.join(page));
            assert!(url.is_err(), "{page}");
        }
    }
}
