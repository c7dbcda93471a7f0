//! Without the feature `basic-auth`: a web configuration with users is refused at the start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::HeaderMap;

/// The result of authentication.
#[expect(dead_code, reason = "without users, nothing is checked")]
pub(crate) enum AuthResult {
    Granted,
    Denied,
    Busy,
}

/// Checks no credentials.
pub(crate) struct Authenticator;

/// A connection.
pub(super) type AuthClient = ();

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(super) fn client(&self, _: Option<IpAddr>) -> AuthClient {}

    pub(super) async fn check(&self, _: &BTreeMap<String, String>, _: &HeaderMap, (): &AuthClient) -> AuthResult {
        AuthResult::Denied
    }
}
