//! Basic authentication with bcrypt, with limits against denial of service.
//!
//! bcrypt is slow on purpose. Its checks run on few threads. The queue of checks is bounded, in total and per address.
//! Concurrent requests with the same credentials share one check. The results are cached under a keyed hash, from which
//! no password can be guessed outside this process.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use http::header::{AUTHORIZATION, HeaderMap};
use ring::hmac;
use tokio::sync::Semaphore;

use crate::config::password_hash::cost;

/// The limits of queued checks, in total and per address.
const MAX_WAITING: usize = 64;
const MAX_WAITING_PER_ADDRESS: usize = 16;
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
    workers: Arc<Semaphore>,
}

/// The keyed hash of credentials.
type Tag = [u8; 32];
type Check = BoxFuture<'static, bool>;

#[derive(Default)]
struct AuthState {
    granted: ResultCache,
    denied: ResultCache,
    in_progress: HashMap<Tag, WeakShared<Check>>,
    waiting: HashMap<Option<IpAddr>, usize>,
}

/// A set of credentials, which evicts the oldest first.
#[derive(Default)]
struct ResultCache {
    known: HashSet<Tag>,
    order: VecDeque<Tag>,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { key: OnceLock::new(), state: Arc::default(), workers: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// Checks the credentials of a request against the users and their hashes.
    pub(crate) async fn check(
        &self,
        users: &BTreeMap<String, String>,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> AuthResult {
        let Some((user, password)) = credentials(headers) else { return AuthResult::Denied };
        // an unknown user takes as long as a known one
        let known = users.get(&user).cloned();
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| unknown_user_hash(users));
        let Some(tag) = self.tag(&user, &hash, &password) else { return AuthResult::Busy };
        let Some(check) = self.start(tag, is_known, hash, password, peer) else { return AuthResult::Busy };
        match check {
            CheckStatus::Known(login) => login,
            CheckStatus::InProgress(check) => match check.await {
                true => AuthResult::Granted,
                false => AuthResult::Denied,
            },
        }
    }

    fn start(
        &self,
        tag: Tag,
        is_known: bool,
        hash: String,
        password: Vec<u8>,
        peer: Option<IpAddr>,
    ) -> Option<CheckStatus> {
        let mut state = lock(&self.state);
        if state.granted.known.contains(&tag) {
            return Some(CheckStatus::Known(AuthResult::Granted));
        }
        if state.denied.known.contains(&tag) {
            return Some(CheckStatus::Known(AuthResult::Denied));
        }
        if let Some(check) = state.in_progress.get(&tag).and_then(WeakShared::upgrade) {
            return Some(CheckStatus::InProgress(check));
        }
        let of_peer = state.waiting.get(&peer).copied().unwrap_or_default();
        if of_peer >= MAX_WAITING_PER_ADDRESS || state.waiting.values().sum::<usize>() >= MAX_WAITING {
            return None;
        }
        *state.waiting.entry(peer).or_default() += 1;
        // leaves the queue when its last waiting client gives up
        let slot = QueueSlot { state: self.state.clone(), tag, peer };
        let workers = self.workers.clone();
        let check = async move {
            let Ok(worker) = workers.acquire_owned().await else { return false };
            let right = tokio::task::spawn_blocking(move || {
                let _worker = worker; // also if the client has disconnected
                is_known & bcrypt::verify(password, &hash).unwrap_or(false)
            });
            let right = right.await.unwrap_or(false);
            let mut state = lock(&slot.state);
            if right {
                state.granted.insert(tag, MAX_GRANTED)
            } else {
                state.denied.insert(tag, MAX_DENIED)
            }
            drop(state);
            right
        };
        let check = check.boxed().shared();
        state.in_progress.extend(check.downgrade().map(|weak| (tag, weak)));
        Some(CheckStatus::InProgress(check))
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

/// A slot in the queue of checks.
struct QueueSlot {
    state: Arc<Mutex<AuthState>>,
    tag: Tag,
    peer: Option<IpAddr>,
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.in_progress.remove(&self.tag);
        if let Some(waiting) = state.waiting.get_mut(&self.peer) {
            *waiting -= 1;
            if *waiting == 0 {
                state.waiting.remove(&self.peer);
            }
        }
    }
}

impl ResultCache {
    fn insert(&mut self, tag: Tag, limit: usize) {
        if !self.known.insert(tag) {
            return;
        }
        self.order.push_back(tag);
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
                assert_eq!(authenticator.check(&users(), &headers, None).await, expected, "{headers:?}");
            }
        }
        let state = lock(&authenticator.state);
        assert_eq!((state.granted.known.len(), state.denied.known.len()), (1, 3));
        assert!(state.in_progress.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_cached_password_is_denied_after_a_change() {
        let authenticator = Authenticator::new();
        assert_eq!(authenticator.check(&users(), &headers("alice", "secret"), None).await, AuthResult::Granted);
        let changed =
            BTreeMap::from([("alice".to_owned(), bcrypt::hash_with_salt("new", 4, [7; 16]).unwrap().to_string())]);
        assert_eq!(authenticator.check(&changed, &headers("alice", "secret"), None).await, AuthResult::Denied);
        assert_eq!(authenticator.check(&changed, &headers("alice", "new"), None).await, AuthResult::Granted);
    }

    #[tokio::test]
    async fn one_address_cannot_fill_the_queue_and_the_same_credentials_are_queued_once() {
        let authenticator = Authenticator::new();
        let workers =
            authenticator.workers.acquire_many(authenticator.workers.available_permits() as u32).await.unwrap();
        let users = users();
        let (bad, good) = (Some("192.0.2.1".parse().unwrap()), Some("192.0.2.2".parse().unwrap()));
        let flood: Vec<_> = (0..40).map(|number| headers("alice", &number.to_string())).collect();
        let mut flood: Vec<_> =
            flood.iter().map(|headers| Box::pin(authenticator.check(&users, headers, bad))).collect();
        let polled: Vec<_> = flood.iter_mut().map(|check| check.now_or_never()).collect();
        assert_eq!(
            polled.iter().filter(|login| **login == Some(AuthResult::Busy)).count(),
            40 - MAX_WAITING_PER_ADDRESS
        );
        let headers = headers("alice", "secret");
        let mut same: Vec<_> = (0..100).map(|_| Box::pin(authenticator.check(&users, &headers, good))).collect();
        assert!(same.iter_mut().all(|check| check.now_or_never().is_none()), "they are queued");
        assert_eq!(lock(&authenticator.state).waiting[&good], 1);
        drop(flood);
        assert!(
            !lock(&authenticator.state).waiting.contains_key(&bad),
            "checks of disconnected clients leave the queue"
        );
        drop(workers);
        for check in same {
            assert_eq!(check.await, AuthResult::Granted);
        }
    }

    #[test]
    fn the_oldest_result_is_evicted_first() {
        let mut cache = ResultCache::default();
        for byte in [1, 2, 1, 3] {
            cache.insert([byte; 32], 2);
        }
        assert!(!cache.known.contains(&[1; 32]) && cache.known.contains(&[2; 32]) && cache.known.contains(&[3; 32]));
    }
}
