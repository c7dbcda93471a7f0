//! `--app.url`: where the status page is. It may hold a password, which no message shows.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use reqwest::Url;

/// The URL of a status page: http or https, with a host.
#[derive(Clone)]
pub(crate) struct AppUrl(pub(crate) Url);

impl AppUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("no URL ({error}), write it as http://host:port/path"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)), // which have a host, or they are no URL
            scheme => Err(format!("{scheme} is not supported, write it as http://host:port/path or https://...")),
        }
    }

    /// The URL for people: with its port, without credentials and query.
    pub(crate) fn place(&self) -> String {
        let url = &self.0;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        format!("{}://{host}:{port}{}", url.scheme(), url.path())
    }
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
    fn a_url_of_http_or_https_is_taken() {
        for (text, place) in [
            ("http://localhost/status", "http://localhost:80/status"),
            ("https://[::1]:8443", "https://[::1]:8443/"),
            ("http://user:secret@app:5000/s?token=secret", "http://app:5000/s"),
        ] {
            assert_eq!(AppUrl::parse(text).map(|url| url.place()).as_deref(), Ok(place), "{text}");
        }
    }

    #[test]
    fn any_other_is_refused_without_being_repeated() {
        for text in ["", "secret", "localhost:80/secret", "ftp://u:secret@host/", "http://", "http://h:99999/secret"] {
            let fault = AppUrl::parse(text).map(|url| url.place()).unwrap_err();
            assert!(!fault.contains("secret") && fault.contains("http://host:port/path"), "{text}: {fault}");
        }
    }
}
