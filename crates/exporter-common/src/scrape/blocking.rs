//! Threads for work that may block, such as the read of a file.
//!
//! The collectors of a scrape have such work at the same time, and most of it takes microseconds, less than waking a thread.
//! So one thread does all of it, one after the other. Work that waits longer than [`PATIENCE`] gets another thread.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long work waits for the work before it.
const PATIENCE: Duration = Duration::from_millis(5);

const MAX_THREADS: usize = 64;

/// All threads of the process.
static THREADS: Threads = Threads {
    state: Mutex::new(State { waiting: VecDeque::new(), running: BTreeMap::new(), idle: None, started: 0 }),
    woken: Condvar::new(),
};

struct Threads {
    state: Mutex<State>,
    /// Notified when [`State::idle`] becomes `None`.
    woken: Condvar,
}

struct State {
    waiting: VecDeque<Work>,
    /// When each running thread began its present work.
    running: BTreeMap<u64, Instant>,
    /// The thread that has no work. Others end.
    idle: Option<u64>,
    /// The number of threads that were ever started.
    started: u64,
}

type Work = Box<dyn FnOnce() + Send>;

/// Runs work that may block on another thread, for work that collectors share. Other work of a collector runs with
/// [`Scrape::blocking`](crate::Scrape::blocking), which also prevents a second read while the first one hangs. The work is
/// finished even if the returned future is dropped.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let text = scrapewright::blocking(|| std::fs::read_to_string("/proc/uptime")).await;
/// # assert!(text.is_ok());
/// # });
/// ```
///
/// # Panics
/// With the panic of the work, or if no thread can be started for it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, mut result) = oneshot::channel();
    let work = move || {
        let _ = done.send(catch_unwind(AssertUnwindSafe(work))); // the receiver may be gone
    };
    let has_thread = THREADS.add(Box::new(work));
    let mut in_time = None;
    if !has_thread {
        in_time = tokio::time::timeout(PATIENCE, &mut result).await.ok();
        if in_time.is_none() {
            THREADS.help();
        }
    }
    let result = match in_time {
        Some(result) => result,
        None => result.await,
    };
    match result {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("cannot start a thread"),
    }
}

impl Threads {
    /// Adds work, and returns whether a thread was woken for it. Otherwise a running one does it next, or later.
    fn add(&'static self, work: Work) -> bool {
        let mut state = self.lock();
        let is_first = state.waiting.is_empty();
        state.waiting.push_back(work);
        let now = Instant::now();
        if state.running.values().any(|began| now.duration_since(*began) < PATIENCE) {
            return false;
        }
        self.wake(state, now) && is_first
    }

    /// Wakes a thread if work is waiting.
    fn help(&'static self) {
        let state = self.lock();
        if !state.waiting.is_empty() {
            self.wake(state, Instant::now());
        }
    }

    /// Wakes the idle thread, or starts one. Returns `false` if there are too many.
    fn wake(&'static self, mut state: MutexGuard<'_, State>, now: Instant) -> bool {
        if let Some(thread) = state.idle.take() {
            state.running.insert(thread, now);
            drop(state); // or the woken thread would wait for the lock
            self.woken.notify_one();
            return true;
        }
        if state.running.len() >= MAX_THREADS {
            return false;
        }
        let thread = state.started;
        state.started += 1;
        state.running.insert(thread, now);
        drop(state);
        let spawned = std::thread::Builder::new().name("blocking".to_owned()).spawn(move || self.run(thread));
        let Err(error) = spawned else { return true };
        tracing::warn!(%error, "cannot start a thread");
        let mut state = self.lock();
        state.running.remove(&thread);
        if !state.running.values().any(|began| now.duration_since(*began) < PATIENCE) {
            // no thread would do this work: its callers fail, and the next scrape tries again
            let abandoned = std::mem::take(&mut state.waiting);
            drop(state);
            drop(abandoned);
        }
        false
    }

    /// Does the waiting work, until another thread is idle.
    fn run(&self, thread: u64) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                state.running.insert(thread, Instant::now());
                drop(state);
                work();
                state = self.lock();
                continue;
            }
            state.running.remove(&thread);
            if state.idle.is_some() {
                return;
            }
            state.idle = Some(thread);
            let woken = self.woken.wait_while(state, |state| state.idle == Some(thread));
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // no code panics while it holds the lock
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_delays_no_other_work() {
        let (release, hung) = mpsc::channel::<()>();
        let hung = tokio::spawn(blocking(move || hung.recv()));
        let others: Vec<_> = (0..100).map(|number| tokio::spawn(blocking(move || number))).collect();
        for (number, other) in others.into_iter().enumerate() {
            assert_eq!(other.await.unwrap(), number);
        }
        assert!(!hung.is_finished());
        release.send(()).unwrap();
        hung.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn work_that_hangs_in_many_threads_ends() {
        let (release, hung) = mpsc::channel::<()>();
        let hung = std::sync::Arc::new(Mutex::new(hung));
        let work = |hung: std::sync::Arc<Mutex<mpsc::Receiver<()>>>| move || hung.lock().unwrap().recv();
        let all: Vec<_> = (0..2 * MAX_THREADS).map(|_| tokio::spawn(blocking(work(hung.clone())))).collect();
        for _ in &all {
            release.send(()).unwrap();
        }
        for one in all {
            one.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_of_the_work_is_the_callers() {
        let panic = AssertUnwindSafe(blocking(|| -> u8 { panic!("as intended") })).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as intended"));
        assert_eq!(blocking(|| 7).await, 7, "the thread continues");
    }
}
