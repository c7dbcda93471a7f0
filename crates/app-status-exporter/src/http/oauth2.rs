//! OAuth 2.0 with client credentials: requests a token when there is none, or when it is about to expire.
//!
//! Source: RFC 6749, sections 2.3.1 and 4.4.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::body::read_response;
use super::client::{ClientOptions, client, root_cause};
use super::settings::OAuth2Settings;
use super::url::redacted;
use crate::json::document::{Document, Value};
use crate::metrics::conversion::go_number;
use crate::metrics::failures::{FailureReason, ReadError};

/// The time before its expiry at which a token is replaced.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// The size limit of a response of the authorization server.
const RESPONSE_LIMIT: usize = 1 << 20;

/// The source of tokens for one client.
pub(super) struct TokenSource {
    oauth2: OAuth2Settings,
    client: Client,
    state: Mutex<TokenState>,
}

#[derive(Default)]
struct TokenState {
    /// The header with the token, and its expiry.
    token: Option<(HeaderValue, Option<Instant>)>,
    /// Whether the server expects the client's secret in the body instead of a header.
    in_body: bool,
}

impl TokenSource {
    pub(super) fn new(oauth2: OAuth2Settings) -> anyhow::Result<Self> {
        let client = client(ClientOptions {
            https: oauth2.token_url.scheme() == "https",
            tls: oauth2.tls.as_ref(),
            proxy: &oauth2.proxy,
            socket: None,
            redirects: false,
            // a token request is not repeated, so it must not use a kept connection that is about to close
            idle_connections: 0,
            resolve: None,
        })?;
        Ok(Self { oauth2, client, state: Mutex::default() })
    }

    /// The authorization header of a request.
    pub(super) async fn header(&self) -> Result<HeaderValue, ReadError> {
        let mut state = self.state.lock().await;
        if let Some((header, expiry)) = &state.token
            && expiry.is_none_or(|expiry| Instant::now() < expiry)
        {
            return Ok(header.clone());
        }
        let token = match self.request(state.in_body).await {
            // RFC 6749 lets servers accept the secret in either form only
            Err(first) => match self.request(!state.in_body).await {
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

    /// Discards the token, because the application rejected it.
    pub(super) async fn discard(&self) {
        self.state.lock().await.token = None;
    }

    async fn request(&self, in_body: bool) -> Result<(HeaderValue, Option<Instant>), ReadError> {
        let OAuth2Settings { client_id, client_secret, token_url, parameters, headers, .. } = &self.oauth2;
        let error = |message: String| {
            ReadError::new(FailureReason::Token, format!("no token from {}: {message}", redacted(token_url)))
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
        let response = request.body(encode(&form)).send().await.map_err(|cause| error(root_cause(&cause)))?;
        let status = response.status();
        let body = read_response(response, RESPONSE_LIMIT).await.map_err(|cause| error(cause.error.to_string()))?;
        if !status.is_success() {
            return Err(error(format!("response status {status}")));
        }
        let received = Instant::now();
        let text = String::from_utf8_lossy(&body);
        let response = Document::parse(&text).map_err(|_| error("the response is not JSON".to_owned()))?;
        let value = |key| response.get(response.root(), key).map(|id| response.value(id));
        let Some(Value::Text(token)) = value("access_token") else {
            return Err(error("the response has no access_token".to_owned()));
        };
        let kind = match value("token_type") {
            Some(Value::Text(kind)) if !kind.eq_ignore_ascii_case("bearer") => kind,
            _ => "Bearer",
        };
        let lifetime = match value("expires_in") {
            Some(Value::Number(seconds) | Value::Text(seconds)) => go_number(seconds),
            _ => None,
        };
        let expiry = lifetime
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|lifetime| received.checked_add(lifetime.saturating_sub(EXPIRY_MARGIN)));
        let mut header = HeaderValue::try_from(format!("{kind} {token}"))
            .map_err(|_| error("the token is not valid in a header".to_owned()))?;
        header.set_sensitive(true);
        Ok((header, expiry))
    }
}

/// The body of a form.
fn encode(form: &[(&str, &str)]) -> String {
    let mut url = Url::parse("form:").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(form);
    }
    url.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

/// A name or secret, encoded for the header.
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
