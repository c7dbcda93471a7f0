//! HTTP for queue systems that speak it: GET with credentials, limits, and errors that say where.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::Connection;
use crate::credentials::Credentials;
use crate::fault::{Reason, fault};

/// A client for everything below one URL, on connections that are kept.
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without credentials, so that it can be told.
    base: Url,
    credentials: Option<Credentials>,
}

/// An answer that was read whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    body: Vec<u8>,
    place: String,
}

/// What a reply may weigh: a page of 500 RabbitMQ queues weighs 1 MB, a list of 10,000 names 0.5 MB.
const BODY_LIMIT: usize = 16 << 20;

/// How long a connection that waits is good for. Servers close one that waits, which may be just when it is used
/// again: RabbitMQ and Node.js after 5 s, gunicorn after 2 s. This keeps it through a read, not until the next.
const IDLE: Duration = Duration::from_millis(500);

/// The mistake is a port of the same broker where it speaks its own protocol.
const NOT_HTTP: &str =
    "what answers there is not HTTP; RabbitMQ's management API is on 15672, NATS's monitoring on 8222";

/// What needs no escape in a segment of a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Client {
    pub(crate) fn new(connection: Connection) -> Result<Self> {
        let Connection { mut url, username, password_file, tls, .. } = connection;
        let credentials = Credentials::new(&mut url, username, password_file)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config(url.scheme() == "https")?)
            // elsewhere is not where the credentials belong
            .redirect(reqwest::redirect::Policy::none())
            // a proxy from the environment would be told the credentials as well
            .no_proxy()
            .pool_max_idle_per_host(16) // as many as are asked for at once
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("queue-exporter/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, base: url, credentials })
    }

    /// The URL below the base at these names, each escaped to be one segment of the path.
    pub(crate) fn url(&self, names: &[&str]) -> Result<Url> {
        let mut path = self.base.path().trim_end_matches('/').to_owned();
        for name in names {
            // a URL has no way to say these: they mean the folder and the one above it
            ensure!(!matches!(*name, "" | "." | ".."), "its name cannot be written in a URL");
            path.push('/');
            path.extend(utf8_percent_encode(name, UNRESERVED));
        }
        let mut url = self.base.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// The URL that was given.
    pub(crate) fn base(&self) -> Url {
        self.base.clone()
    }

    /// Who is asking.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// GET, whatever the status.
    pub(crate) async fn get(&self, url: Url) -> Result<Reply> {
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path()); // a query may hold a secret
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            let inner = innermost(&error);
            // reqwest's own words for a failed connection say nothing that its source does not
            let text = if error.is_connect() || error.is_request() { inner.to_string() } else { error.to_string() };
            let (reason, text) = match &error {
                _ if let Some(text) = tls_fault(inner) => (Reason::Tls, text),
                _ if text.starts_with("invalid HTTP ") => (Reason::Protocol, format!("{NOT_HTTP} ({text})")),
                error if error.is_timeout() => (Reason::Timeout, text),
                // sent, and the connection ended before there was an answer
                error if error.is_request() || inner.is::<std::io::Error>() => (Reason::Connect, text),
                _ => (Reason::Protocol, text),
            };
            fault(reason, text).context(format!("cannot get {place}"))
        };
        let mut request = self.http.get(url);
        if let Some(credentials) = &self.credentials {
            let (username, password) = credentials.current();
            request = request.basic_auth(username, Some(password));
        }
        let mut response = request.send().await.map_err(failed)?;
        let too_long =
            || fault(Reason::Protocol, format!("{place} answered more than {} MB: not read", BODY_LIMIT >> 20));
        let announced = response.content_length().unwrap_or(0);
        ensure!(announced <= BODY_LIMIT as u64, too_long());
        let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            ensure!(body.len() + chunk.len() <= BODY_LIMIT, too_long());
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status(), body, place })
    }
}

impl Reply {
    /// The body of a good reply.
    pub(crate) fn good(&self) -> Result<&[u8]> {
        let Self { status, body, place } = self;
        match *status {
            status if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let text = format!("{place} answered {status}: check --queue.username and --queue.password-file");
                Err(fault(Reason::Auth, text))
            }
            status if status.is_redirection() => {
                let text = "redirects are not followed, give --queue.url the final address";
                Err(fault(Reason::Protocol, format!("{place} answered {status}: {text}")))
            }
            status => Err(fault(Reason::Protocol, format!("{place} answered {status}"))),
        }
    }

    /// The same, and a hint where the body is no object at all: a page of another program, or a list.
    pub(crate) fn object_or<'a, T: Deserialize<'a>>(&'a self, hint: &str) -> Result<T> {
        ensure!(
            is_object(self.good()?),
            "{} answered something else than expected: not a JSON object; {hint}",
            self.place
        );
        self.object()
    }

    /// The object in the body of a good reply.
    pub(crate) fn object<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        object(self.good()?).with_context(|| format!("{} answered something else than expected", self.place))
    }
}

/// The object that a JSON text is.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T> {
    // serde would fill a struct from an array as well, by position
    ensure!(is_object(text), "not a JSON object");
    Ok(serde_json::from_slice(text)?)
}

fn is_object(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// What is wrong with TLS where a connection failed for it: its errors come inside those of input and output.
pub(crate) fn tls_fault(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidMessage(_)) => Some("it does not speak TLS".to_owned()),
        Some(error) => Some(error.to_string()),
        None => tls_fault(error.downcast_ref::<std::io::Error>()?.get_ref()?),
    }
}

fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let url = Url::parse(url).unwrap();
        let timeout = Duration::from_secs(5);
        let tls = Default::default();
        Client::new(Connection { url, username: None, password_file: None, tls, timeout }).unwrap()
    }

    #[tokio::test]
    async fn names_are_one_segment_of_the_path_each() {
        let client = client("http://me:secret@host/api/?token=t");
        for (name, path) in [
            ("orders", "/api/orders"),
            ("a/b c", "/api/a%2Fb%20c"),
            ("\"ü\"?#%", "/api/%22%C3%BC%22%3F%23%25"),
            ("a\n\t\\", "/api/a%0A%09%5C"),
            ("...", "/api/..."),
        ] {
            assert_eq!(client.url(&[name]).unwrap().as_str(), format!("http://host{path}?token=t"));
        }
        for name in ["", ".", ".."] {
            assert!(client.url(&[name]).is_err(), "{name}");
        }
    }

    #[test]
    fn an_array_is_no_object() {
        #[derive(Deserialize)]
        struct Anything {}
        assert!(object::<Anything>(b" {}").is_ok());
        for text in ["[]", "", "null", "{", "{}x"] {
            assert!(object::<Anything>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
