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

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(super) async fn check(&self, _: &BTreeMap<String, String>, _: &HeaderMap, _: Option<IpAddr>) -> AuthResult {
        AuthResult::Denied
    }
}
