//! Basic authentication with bcrypt, with limits against denial of service.
//!
//! bcrypt is slow on purpose. Its checks run on few threads. The queue of checks is bounded and fair.
//! Concurrent requests with the same credentials share one check. The results are cached under a keyed hash, from which
//! no password can be guessed outside this process.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use http::header::{AUTHORIZATION, HeaderMap};
use ring::hmac;

use super::fair_queue::{FairQueue, QueueClient};
use crate::config::password_hash::cost;

/// The limits of queued checks, in total and per address.
const MAX_WAITING: usize = 64;
const MAX_WAITING_PER_ADDRESS: usize = 16;
/// The limit of known addresses.
const MAX_ADDRESSES: usize = 1024;
/// The limits of cached results. Denied credentials, which any client can send, never evict granted ones.
const MAX_GRANTED: usize = 128;
const MAX_DENIED: usize = 1024;

/// The result of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthResult {
    Granted,
    /// The credentials are wrong or missing.
    Denied,
    /// Too many checks are queued.
    Busy,
}

/// Checks credentials. All listeners share one, also after a reload.
pub(crate) struct Authenticator {
    /// Created for the first credentials, since most exporters receive none.
    key: OnceLock<hmac::Key>,
    state: Arc<Mutex<AuthState>>,
    checks: Arc<FairQueue>,
}

/// A connection in the queue of checks.
pub(super) type AuthClient = Arc<QueueClient>;

/// The keyed hash of credentials.
type Tag = [u8; 32];
type Check = BoxFuture<'static, AuthResult>;

#[derive(Default)]
struct AuthState {
    granted: BoundedSet<Tag>,
    denied: BoundedSet<Tag>,
    /// The addresses at which a password was valid.
    addresses: BoundedSet<Option<IpAddr>>,
    in_progress: HashMap<Tag, WeakShared<Check>>,
}

/// A set that evicts the oldest first.
struct BoundedSet<T> {
    known: HashSet<T>,
    order: VecDeque<T>,
}

impl<T> Default for BoundedSet<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), order: VecDeque::new() }
    }
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let checks = FairQueue::new((cores / 2).max(1), MAX_WAITING, MAX_WAITING_PER_ADDRESS);
        Self { key: OnceLock::new(), state: Arc::default(), checks }
    }

    pub(super) fn client(&self, address: Option<IpAddr>) -> AuthClient {
        self.checks.client(address)
    }

    /// Checks the credentials of a request against the users and their hashes.
    pub(super) async fn check(
        &self,
        users: &BTreeMap<String, String>,
        headers: &HeaderMap,
        client: &AuthClient,
    ) -> AuthResult {
        let Some((user, password)) = credentials(headers) else { return AuthResult::Denied };
        // an unknown user takes as long as a known one
        let known = users.get(&user).cloned();
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| unknown_user_hash(users));
        let Some(tag) = self.tag(&user, &hash, &password) else { return AuthResult::Busy };
        let result = match self.start(tag, is_known, hash, password, client) {
            CheckStatus::Known(result) => result,
            CheckStatus::InProgress(check) => check.await,
        };
        if result != AuthResult::Granted {
            client.deny();
        }
        result
    }

    fn start(&self, tag: Tag, is_known: bool, hash: String, password: Vec<u8>, client: &AuthClient) -> CheckStatus {
        let mut state = lock(&self.state);
        if state.granted.contains(&tag) {
            return CheckStatus::Known(AuthResult::Granted);
        }
        if state.denied.contains(&tag) {
            return CheckStatus::Known(AuthResult::Denied);
        }
        if let Some(check) = state.in_progress.get(&tag).and_then(WeakShared::upgrade) {
            return CheckStatus::InProgress(check);
        }
        let preferred = state.addresses.contains(&client.address());
        // removed when its last waiting client gives up
        let entry = CheckInProgress { state: self.state.clone(), tag };
        let (checks, client) = (self.checks.clone(), client.clone());
        let check = async move {
            let Some(slot) = checks.slot(&client, preferred).await else { return AuthResult::Busy };
            let right = tokio::task::spawn_blocking(move || {
                let _slot = slot; // also if the client has disconnected
                is_known & bcrypt::verify(password, &hash).unwrap_or(false)
            });
            let right = right.await.unwrap_or(false);
            let mut state = lock(&entry.state);
            if right {
                state.granted.insert(tag, MAX_GRANTED);
                state.addresses.insert(client.address(), MAX_ADDRESSES);
                AuthResult::Granted
            } else {
                state.denied.insert(tag, MAX_DENIED);
                AuthResult::Denied
            }
        };
        let check = check.boxed().shared();
        state.in_progress.extend(check.downgrade().map(|weak| (tag, weak)));
        CheckStatus::InProgress(check)
    }

    /// The lengths separate user, hash and password (CVE-2022-46146).
    fn tag(&self, user: &str, hash: &str, password: &[u8]) -> Option<Tag> {
        if self.key.get().is_none() {
            // fails while the system has no random numbers yet; the next request tries again
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok()?;
            let _ = self.key.set(key); // another request may have been faster
        }
        let mut context = hmac::Context::with_key(self.key.get()?);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }
}

enum CheckStatus {
    Known(AuthResult),
    InProgress(Shared<Check>),
}

/// The entry of a check in progress.
struct CheckInProgress {
    state: Arc<Mutex<AuthState>>,
    tag: Tag,
}

impl Drop for CheckInProgress {
    fn drop(&mut self) {
        lock(&self.state).in_progress.remove(&self.tag);
    }
}

impl<T: Copy + Eq + Hash> BoundedSet<T> {
    fn contains(&self, item: &T) -> bool {
        self.known.contains(item)
    }

    fn insert(&mut self, item: T, limit: usize) {
        if !self.known.insert(item) {
            return;
        }
        self.order.push_back(item);
        if self.order.len() > limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn lock(state: &Mutex<AuthState>) -> MutexGuard<'_, AuthState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// User and password of a request.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

/// A hash that matches no password, with the highest cost of all users.
fn unknown_user_hash(users: &BTreeMap<String, String>) -> String {
    let cost = users.values().filter_map(|hash| cost(hash)).max().unwrap_or(bcrypt::DEFAULT_COST);
    format!("$2b${cost:02}$aaaaaaaaaaaaaaaaaaaaaeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "fakepassword" with cost 4.
    fn users() -> BTreeMap<String, String> {
        BTreeMap::from([("alice".to_owned(), bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap().to_string())])
    }

    fn headers(user: &str, password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn right_wrong_unknown_and_missing_credentials_are_distinguished_with_and_without_cache() {
        let authenticator = Authenticator::new();
        let client = authenticator.client(None);
        for _ in 0..2 {
            for (headers, expected) in [
                (headers("alice", "secret"), AuthResult::Granted),
                (headers("alice", "Secret"), AuthResult::Denied),
                (headers("bob", "secret"), AuthResult::Denied),
                (headers("", ""), AuthResult::Denied),
                (HeaderMap::new(), AuthResult::Denied),
                (HeaderMap::from_iter([(AUTHORIZATION, "Bearer x".parse().unwrap())]), AuthResult::Denied),
                (HeaderMap::from_iter([(AUTHORIZATION, "Basic !".parse().unwrap())]), AuthResult::Denied),
            ] {
                assert_eq!(authenticator.check(&users(), &headers, &client).await, expected, "{headers:?}");
            }
        }
        let state = lock(&authenticator.state);
        assert_eq!((state.granted.known.len(), state.denied.known.len()), (1, 3));
        assert!(state.in_progress.is_empty() && authenticator.checks.waiting() == 0);
    }

    #[tokio::test]
    async fn a_cached_password_is_denied_after_a_change() {
        let authenticator = Authenticator::new();
        let client = authenticator.client(None);
        assert_eq!(authenticator.check(&users(), &headers("alice", "secret"), &client).await, AuthResult::Granted);
        let changed =
            BTreeMap::from([("alice".to_owned(), bcrypt::hash_with_salt("new", 4, [7; 16]).unwrap().to_string())]);
        assert_eq!(authenticator.check(&changed, &headers("alice", "secret"), &client).await, AuthResult::Denied);
        assert_eq!(authenticator.check(&changed, &headers("alice", "new"), &client).await, AuthResult::Granted);
    }

    #[tokio::test]
    async fn a_flood_of_wrong_passwords_refuses_no_other_client_and_the_same_credentials_are_queued_once() {
        let authenticator =
            Authenticator { checks: FairQueue::new(1, MAX_WAITING, MAX_WAITING_PER_ADDRESS), ..Authenticator::new() };
        let users = users();
        let [bad, good] = [1, 2].map(|host| authenticator.client(Some(IpAddr::from([192, 0, 2, host]))));
        let worker = authenticator.checks.slot(&bad, false).await;
        let flood: Vec<_> = (0..100).map(|number| headers("alice", &number.to_string())).collect();
        let mut flood: Vec<_> =
            flood.iter().map(|headers| Box::pin(authenticator.check(&users, headers, &bad))).collect();
        let refused = flood.iter_mut().filter_map(|check| check.now_or_never()).collect::<Vec<_>>();
        assert_eq!(refused, [AuthResult::Busy; 100 - MAX_WAITING_PER_ADDRESS]);
        let headers = headers("alice", "secret");
        let mut same: Vec<_> = (0..100).map(|_| Box::pin(authenticator.check(&users, &headers, &good))).collect();
        assert!(same.iter_mut().all(|check| check.now_or_never().is_none()), "they are queued");
        assert_eq!(authenticator.checks.waiting(), MAX_WAITING_PER_ADDRESS + 1, "as one check");
        drop(flood);
        assert_eq!(authenticator.checks.waiting(), 1, "checks of disconnected clients leave the queue");
        drop(worker);
        for check in same {
            assert_eq!(check.await, AuthResult::Granted);
        }
        assert!(lock(&authenticator.state).addresses.contains(&good.address()));
    }

    #[test]
    fn the_oldest_result_is_evicted_first() {
        let mut cache = BoundedSet::default();
        for byte in [1, 2, 1, 3] {
            cache.insert([byte; 32], 2);
        }
        assert!(!cache.contains(&[1_u8; 32]) && cache.contains(&[2; 32]) && cache.contains(&[3; 32]));
    }
}
