//! Basic authentication with bcrypt, such that logins cannot be used to keep the exporter busy.
//!
//! bcrypt is slow on purpose. So it runs on threads of its own, a few at once; a bounded number waits, and few
//! of those for one address; the same login is checked once however often it is sent at once; and results are kept.
//! What is kept is a keyed hash: neither the password nor anything it could be guessed from outside this process.

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

/// How many logins wait to be checked, of all clients and of one address.
const MAX_WAITING: usize = 64;
const MAX_WAITING_OF_ONE: usize = 16;
/// How many results are kept. Wrong logins, which anybody can send, never drive out right ones.
const MAX_RIGHT: usize = 128;
const MAX_WRONG: usize = 1024;

/// Whether a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthResult {
    Granted,
    /// Wrong, or missing.
    Denied,
    /// Too many are being checked.
    Busy,
}

/// The check of logins: one for the process, whatever the number of listeners and of configurations.
pub(crate) struct Authenticator {
    /// Made for the first login: most exporters never see one.
    key: OnceLock<hmac::Key>,
    state: Arc<Mutex<AuthState>>,
    workers: Arc<Semaphore>,
}

/// A login's keyed hash.
type Tag = [u8; 32];
type Check = BoxFuture<'static, bool>;

#[derive(Default)]
struct AuthState {
    right: ResultCache,
    wrong: ResultCache,
    under_way: HashMap<Tag, WeakShared<Check>>,
    waiting: HashMap<Option<IpAddr>, usize>,
}

/// Results, of which the oldest is forgotten first.
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

    /// Checks the login that a request brings against users and their hashes.
    pub(crate) async fn check(
        &self,
        users: &BTreeMap<String, String>,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> AuthResult {
        let Some((user, password)) = credentials(headers) else { return AuthResult::Denied };
        // an unknown user costs as much as a known one
        let known = users.get(&user).cloned();
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| nobody(users));
        let Some(tag) = self.tag(&user, &hash, &password) else { return AuthResult::Busy };
        let Some(check) = self.start(tag, is_known, hash, password, peer) else { return AuthResult::Busy };
        match check {
            CheckStatus::Known(login) => login,
            CheckStatus::UnderWay(check) => match check.await {
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
        if state.right.known.contains(&tag) {
            return Some(CheckStatus::Known(AuthResult::Granted));
        }
        if state.wrong.known.contains(&tag) {
            return Some(CheckStatus::Known(AuthResult::Denied));
        }
        if let Some(check) = state.under_way.get(&tag).and_then(WeakShared::upgrade) {
            return Some(CheckStatus::UnderWay(check));
        }
        let of_this = state.waiting.get(&peer).copied().unwrap_or_default();
        if of_this >= MAX_WAITING_OF_ONE || state.waiting.values().sum::<usize>() >= MAX_WAITING {
            return None;
        }
        *state.waiting.entry(peer).or_default() += 1;
        // leaves the queue with the last client that waits for it
        let place = QueueSlot { state: self.state.clone(), tag, peer };
        let workers = self.workers.clone();
        let check = async move {
            let Ok(worker) = workers.acquire_owned().await else { return false };
            let right = tokio::task::spawn_blocking(move || {
                let _worker = worker; // also of a client that has left
                is_known & bcrypt::verify(password, &hash).unwrap_or(false)
            });
            let right = right.await.unwrap_or(false);
            let mut state = lock(&place.state);
            if right {
                state.right.keep(tag, MAX_RIGHT)
            } else {
                state.wrong.keep(tag, MAX_WRONG)
            }
            drop(state);
            right
        };
        let check = check.boxed().shared();
        state.under_way.extend(check.downgrade().map(|weak| (tag, weak)));
        Some(CheckStatus::UnderWay(check))
    }

    /// The lengths keep user, hash and password apart (CVE-2022-46146).
    fn tag(&self, user: &str, hash: &str, password: &[u8]) -> Option<Tag> {
        if self.key.get().is_none() {
            // fails where the system has no random numbers yet; the next login tries again
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok()?;
            let _ = self.key.set(key); // another may have been faster
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
    UnderWay(Shared<Check>),
}

/// A place among those that wait.
struct QueueSlot {
    state: Arc<Mutex<AuthState>>,
    tag: Tag,
    peer: Option<IpAddr>,
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.under_way.remove(&self.tag);
        if let Some(waiting) = state.waiting.get_mut(&self.peer) {
            *waiting -= 1;
            if *waiting == 0 {
                state.waiting.remove(&self.peer);
            }
        }
    }
}

impl ResultCache {
    fn keep(&mut self, tag: Tag, most: usize) {
        if !self.known.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > most
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

/// A hash that no password has, as costly as the costliest of the users'.
fn nobody(users: &BTreeMap<String, String>) -> String {
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

    fn login(user: &str, password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn right_wrong_unknown_and_missing_logins_are_told_apart_cold_and_kept() {
        let logins = Authenticator::new();
        for _ in 0..2 {
            for (headers, expected) in [
                (login("alice", "secret"), AuthResult::Granted),
                (login("alice", "Secret"), AuthResult::Denied),
                (login("bob", "secret"), AuthResult::Denied),
                (login("", ""), AuthResult::Denied),
                (HeaderMap::new(), AuthResult::Denied),
                (HeaderMap::from_iter([(AUTHORIZATION, "Bearer x".parse().unwrap())]), AuthResult::Denied),
                (HeaderMap::from_iter([(AUTHORIZATION, "Basic !".parse().unwrap())]), AuthResult::Denied),
            ] {
                assert_eq!(logins.check(&users(), &headers, None).await, expected, "{headers:?}");
            }
        }
        let state = lock(&logins.state);
        assert_eq!((state.right.known.len(), state.wrong.known.len()), (1, 3));
        assert!(state.under_way.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_changed_password_makes_a_kept_login_wrong() {
        let logins = Authenticator::new();
        assert_eq!(logins.check(&users(), &login("alice", "secret"), None).await, AuthResult::Granted);
        let changed =
            BTreeMap::from([("alice".to_owned(), bcrypt::hash_with_salt("new", 4, [7; 16]).unwrap().to_string())]);
        assert_eq!(logins.check(&changed, &login("alice", "secret"), None).await, AuthResult::Denied);
        assert_eq!(logins.check(&changed, &login("alice", "new"), None).await, AuthResult::Granted);
    }

    #[tokio::test]
    async fn one_address_cannot_fill_the_queue_and_the_same_login_waits_once() {
        let logins = Authenticator::new();
        let workers = logins.workers.acquire_many(logins.workers.available_permits() as u32).await.unwrap();
        let users = users();
        let (bad, good) = (Some("192.0.2.1".parse().unwrap()), Some("192.0.2.2".parse().unwrap()));
        let flood: Vec<_> = (0..40).map(|number| login("alice", &number.to_string())).collect();
        let mut flood: Vec<_> = flood.iter().map(|headers| Box::pin(logins.check(&users, headers, bad))).collect();
        let polled: Vec<_> = flood.iter_mut().map(|check| check.now_or_never()).collect();
        assert_eq!(polled.iter().filter(|login| **login == Some(AuthResult::Busy)).count(), 40 - MAX_WAITING_OF_ONE);
        let headers = login("alice", "secret");
        let mut same: Vec<_> = (0..100).map(|_| Box::pin(logins.check(&users, &headers, good))).collect();
        assert!(same.iter_mut().all(|check| check.now_or_never().is_none()), "they wait");
        assert_eq!(lock(&logins.state).waiting[&good], 1);
        drop(flood);
        assert!(!lock(&logins.state).waiting.contains_key(&bad), "who has left does not wait");
        drop(workers);
        for check in same {
            assert_eq!(check.await, AuthResult::Granted);
        }
    }

    #[test]
    fn the_oldest_result_is_forgotten_first() {
        let mut kept = ResultCache::default();
        for byte in [1, 2, 1, 3] {
            kept.keep([byte; 32], 2);
        }
        assert!(!kept.known.contains(&[1; 32]) && kept.known.contains(&[2; 32]) && kept.known.contains(&[3; 32]));
    }
}
