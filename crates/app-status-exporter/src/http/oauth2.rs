//! OAuth 2.0 with client credentials: a token, asked for when there is none or it is about to end.
//!
//! Source: RFC 6749, sections 2.3.1 and 4.4.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::OAuth2Settings;
use crate::http::client::{ClientOptions, client, root_cause};
use crate::http::page::limited;
use crate::http::url::redacted;
use crate::json::document::{Document, Value};
use crate::metrics::conversion::go_number;
use crate::metrics::failures::{FailureReason, ReadError};

/// How long before its end a token is not used any more.
const EARLY: Duration = Duration::from_secs(10);

/// The longest answer of an authorization server.
const ANSWER_LIMIT: usize = 1 << 20;

/// Tokens for one client.
pub(crate) struct Tokens {
    oauth2: OAuth2Settings,
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The header with the token, and how long it may be used.
    token: Option<(HeaderValue, Option<Instant>)>,
    /// Whether this server wants the client's secret in the body, not in a header.
    in_body: bool,
}

impl Tokens {
    pub(crate) fn new(oauth2: OAuth2Settings) -> anyhow::Result<Self> {
        let client = client(ClientOptions {
            https: oauth2.token_url.scheme() == "https",
            tls: oauth2.tls.as_ref(),
            proxy: &oauth2.proxy,
            socket: None,
            redirects: false,
            // a request for a token is not repeated as it was: it must not meet a connection that is just being closed
            keeps: 0,
            resolve: None,
        })?;
        Ok(Self { oauth2, client, state: Mutex::default() })
    }

    /// The header that shows who we are.
    pub(crate) async fn header(&self) -> Result<HeaderValue, ReadError> {
        let mut state = self.state.lock().await;
        if let Some((header, until)) = &state.token
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(header.clone());
        }
        let token = match self.ask(state.in_body).await {
            // servers take the secret one way or the other, as RFC 6749 has it
            Err(first) => match self.ask(!state.in_body).await {
                Ok(token) => {
                    state.in_body = !state.in_body;
                    token
                }
                Err(_) => return Err(first),
            },
            Ok(token) => token,
        };
        state.token = Some(token.clone());
        Ok(token.0)
    }

    /// Forgets the token, which the application does not take.
    pub(crate) async fn forget(&self) {
        self.state.lock().await.token = None;
    }

    async fn ask(&self, in_body: bool) -> Result<(HeaderValue, Option<Instant>), ReadError> {
        let OAuth2Settings { client_id, client_secret, token_url, parameters, headers, .. } = &self.oauth2;
        let failure = |what: String| {
            ReadError::new(FailureReason::Token, format!("no token from {}: {what}", redacted(token_url)))
        };
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if in_body {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.as_str())]);
        }
        let mut request = self.client.post(token_url.clone()).headers(headers.clone());
        request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if !in_body {
            request = request.basic_auth(encoded(client_id), Some(encoded(client_secret)));
        }
        let response = request.body(encode(&form)).send().await.map_err(|error| failure(root_cause(&error)))?;
        let status = response.status();
        let body = limited(response, ANSWER_LIMIT).await.map_err(|error| failure(error.error.to_string()))?;
        if !status.is_success() {
            return Err(failure(format!("it answers {status}")));
        }
        let asked = Instant::now();
        let text = String::from_utf8_lossy(&body);
        let answer = Document::parse(&text).map_err(|_| failure("its answer is not JSON".to_owned()))?;
        let value = |key| answer.get(answer.root(), key).map(|id| answer.value(id));
        let Some(Value::Text(token)) = value("access_token") else {
            return Err(failure("its answer has no access_token".to_owned()));
        };
        let kind = match value("token_type") {
            Some(Value::Text(kind)) if !kind.eq_ignore_ascii_case("bearer") => kind,
            _ => "Bearer",
        };
        let lasts = match value("expires_in") {
            Some(Value::Number(seconds) | Value::Text(seconds)) => go_number(seconds),
            _ => None,
        };
        let until = lasts
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|lasts| asked.checked_add(lasts.saturating_sub(EARLY)));
        let mut header = HeaderValue::try_from(format!("{kind} {token}"))
            .map_err(|_| failure("its token cannot stand in a header".to_owned()))?;
        header.set_sensitive(true);
        Ok((header, until))
    }
}

/// A form as a body.
fn encode(form: &[(&str, &str)]) -> String {
    let mut url = Url::parse("form:").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(form);
    }
    url.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

/// A name or secret as it stands in the header.
fn encoded(text: &str) -> String {
    encode(&[("", text)]).trim_start_matches('=').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_browsers_encode_them() {
        assert_eq!(encode(&[("scope", "a b"), ("x", "ä&=+")]), "scope=a+b&x=%C3%A4%26%3D%2B");
        assert_eq!(
            (encoded("me:you"), encoded("=="), encoded("")),
            ("me%3Ayou".into(), "%3D%3D".into(), String::new())
        );
    }
}
