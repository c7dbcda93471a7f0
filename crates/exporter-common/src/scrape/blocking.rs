//! Work that may block, such as the read of a file.
//!
//! Most of it takes microseconds, less than waking a thread. So the thread that serves requests does it between them. If it
//! takes longer than [`PATIENCE`], another thread serves from then on, and the blocked one exits after its work.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How long work may delay requests.
const PATIENCE: Duration = Duration::from_millis(5);

/// The interval of attempts to start a thread.
const RETRY: Duration = Duration::from_secs(1);

/// The limit of blocked threads. Beyond it, work waits until one is finished.
const MAX_BLOCKED: usize = 64;

thread_local! {
    /// The threads of the program whose requests this thread serves.
    static THREADS: RefCell<Option<Arc<Threads>>> = const { RefCell::new(None) };
}

/// The threads of a program: one serves, one watches it, and others are blocked.
#[derive(Default)]
struct Threads {
    state: Mutex<State>,
    /// Notified when the watching thread has something to do.
    watcher: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    /// The reports of finished work. The serving thread sends them.
    finished: Vec<Report>,
    /// Wakes the serving thread.
    waker: Option<Waker>,
    /// The number of the serving thread.
    serving: u64,
    /// When the serving thread started its current work.
    working: Option<Instant>,
    /// The number of blocked threads.
    blocked: usize,
    /// Whether the watching thread sleeps until it is notified.
    unwatched: bool,
    stopped: bool,
}

type Work = Box<dyn FnOnce() -> Report + Send>;

/// Sends the result of work.
type Report = Box<dyn FnOnce() + Send>;

/// Runs work that may block without delaying requests, for work that collectors share. Other work of a collector runs
/// with [`Scrape::blocking`](crate::Scrape::blocking), which also prevents a second read while the first one hangs. The work
/// is finished even if the returned future is dropped.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let text = scrapewright::blocking(|| std::fs::read_to_string("/proc/uptime")).await;
/// # assert!(text.is_ok());
/// # });
/// ```
///
/// # Panics
/// With the panic of the work, or if the process is stopping.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let Ok(result) = blocking_any(Box::new(|| Box::new(work()))).await.downcast() else {
        unreachable!("its type is T")
    };
    *result
}

/// A result of any type, so that there is little code for each.
type AnyResult = Box<dyn Any + Send>;

async fn blocking_any(work: Box<dyn FnOnce() -> AnyResult + Send>) -> AnyResult {
    let (done, result) = oneshot::channel();
    let work: Work = Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        Box::new(move || {
            let _ = done.send(result); // the receiver may be gone
        })
    });
    match THREADS.with_borrow(Clone::clone) {
        Some(threads) => threads.add(work),
        // another program's runtime
        None => drop(tokio::task::spawn_blocking(|| work()())),
    }
    match result.await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("the process is stopping"),
    }
}

/// Runs the main future of a program, whose runtime has one thread. The calling thread watches the one that serves.
///
/// # Errors
/// The first thread cannot be started.
pub(crate) fn run<T: Send + 'static>(
    runtime: Runtime,
    main: impl Future<Output = T> + Send + 'static,
) -> std::io::Result<T> {
    let threads = Arc::new(Threads::default());
    let (done, mut result) = oneshot::channel();
    let stopping = threads.clone();
    let main = async move {
        let _ = done.send(AssertUnwindSafe(main).catch_unwind().await); // the receiver waits
        stopping.stop();
    };
    runtime.spawn(main.boxed());
    threads.watch(runtime)?;
    match result.try_recv() {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => unreachable!("the result is sent before the program stops"),
    }
}

impl Threads {
    fn add(&self, work: Work) {
        let mut state = self.lock();
        state.waiting.push_back(work);
        state.wake();
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.wake();
        self.watcher.notify_one();
    }

    /// Replaces the serving thread whenever it is blocked, until the program stops.
    fn watch(self: &Arc<Self>, runtime: Runtime) -> std::io::Result<()> {
        let runtime = Arc::new(runtime);
        let mut state = self.lock();
        let mut serving = self.start(&runtime, state.serving)?;
        while !state.stopped {
            let patience = match state.working {
                None => {
                    state.unwatched = true;
                    let watched = self.watcher.wait_while(state, |state| state.unwatched && !state.stopped);
                    state = watched.unwrap_or_else(PoisonError::into_inner);
                    PATIENCE // most work is finished by now: look again later, or each work would wake this thread
                }
                Some(began) => (began + PATIENCE).saturating_duration_since(Instant::now()),
            };
            if !patience.is_zero() {
                state = self.watcher.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            match self.start(&runtime, state.serving + 1) {
                Ok(thread) => {
                    serving = thread;
                    state.serving += 1;
                    state.blocked += 1;
                    state.working = None;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot start a thread");
                    state.working = Some(Instant::now() + RETRY);
                }
            }
        }
        drop(state);
        let _ = serving.join(); // it does not panic
        if let Some(runtime) = Arc::into_inner(runtime) {
            runtime.shutdown_background(); // a thread that is blocked in a device must not block the exit
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, runtime: &Arc<Runtime>, number: u64) -> std::io::Result<JoinHandle<()>> {
        let (threads, runtime) = (self.clone(), runtime.clone());
        std::thread::Builder::new().name("serve".to_owned()).spawn(move || {
            THREADS.set(Some(threads.clone()));
            loop {
                let mut requests_first = true;
                let next = poll_fn(|cx| threads.poll(cx, std::mem::take(&mut requests_first)));
                if !(runtime.block_on(next) && threads.work(number)) {
                    return;
                }
            }
        })
    }

    /// Sends reports. Is ready with true when work is waiting, and with false when the program stops.
    fn poll(&self, cx: &Context<'_>, requests_first: bool) -> Poll<bool> {
        let mut state = self.lock();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        let finished = std::mem::take(&mut state.finished);
        let ready = match state.stopped {
            true => Poll::Ready(false),
            false if state.waiting.is_empty() || state.blocked >= MAX_BLOCKED => Poll::Pending,
            false if requests_first => {
                state.wake(); // after the tasks that are ready
                Poll::Pending
            }
            false => Poll::Ready(true),
        };
        drop(state);
        finished.into_iter().for_each(|report| report());
        ready
    }

    /// Does waiting work for a while. Returns false if another thread serves now.
    fn work(&self, number: u64) -> bool {
        let began = Instant::now();
        let mut state = self.lock();
        while began.elapsed() < PATIENCE
            && let Some(work) = state.waiting.pop_front()
        {
            state.working = Some(Instant::now());
            let unwatched = std::mem::take(&mut state.unwatched);
            drop(state);
            if unwatched {
                self.watcher.notify_one();
            }
            let report = work();
            state = self.lock();
            state.finished.push(report);
            if state.serving != number {
                state.blocked -= 1;
                state.wake();
                return false;
            }
            state.working = None;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // no code panics while it holds the lock
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    fn run_one<T: Send + 'static>(main: impl Future<Output = T> + Send + 'static) -> T {
        run(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), main).unwrap()
    }

    #[test]
    fn work_that_hangs_delays_no_other_work() {
        run_one(async {
            let (release, hung) = mpsc::channel::<()>();
            let hung = tokio::spawn(blocking(move || hung.recv()));
            let others: Vec<_> = (0..100).map(|number| tokio::spawn(blocking(move || number))).collect();
            for (number, other) in others.into_iter().enumerate() {
                assert_eq!(other.await.unwrap(), number);
            }
            assert!(!hung.is_finished());
            release.send(()).unwrap();
            hung.await.unwrap().unwrap();
            assert_eq!(blocking(|| 7).await, 7, "the new thread continues");
        });
    }

    #[test]
    fn requests_are_served_between_slow_work() {
        run_one(async {
            let served = Arc::new(AtomicUsize::new(0));
            let work = |served: Arc<AtomicUsize>| {
                move || {
                    let before = served.load(Ordering::Relaxed);
                    std::thread::sleep(2 * PATIENCE);
                    before
                }
            };
            let slow: Vec<_> = (0..3).map(|_| tokio::spawn(blocking(work(served.clone())))).collect();
            let requests = async {
                loop {
                    tokio::task::yield_now().await;
                    served.fetch_add(1, Ordering::Relaxed);
                }
            };
            let counts = tokio::select! {
                counts = join_all(slow) => counts,
                () = requests => unreachable!(),
            };
            let counts: Vec<_> = counts.into_iter().map(Result::unwrap).collect();
            assert!(counts.is_sorted_by(|one, next| one < next), "{counts:?}");
        });
    }

    #[test]
    fn results_before_work_that_hangs_are_sent() {
        run_one(async {
            let (release, hung) = mpsc::channel::<()>();
            let first = tokio::spawn(blocking(|| 1));
            let hung = tokio::spawn(blocking(move || hung.recv()));
            assert_eq!(first.await.unwrap(), 1);
            release.send(()).unwrap();
            hung.await.unwrap().unwrap();
        });
    }

    #[test]
    fn work_that_hangs_in_many_threads_ends() {
        run_one(async {
            let (release, hung) = mpsc::channel::<()>();
            let hung = Arc::new(Mutex::new(hung));
            let work = |hung: Arc<Mutex<mpsc::Receiver<()>>>| move || hung.lock().unwrap().recv();
            let all: Vec<_> = (0..2 * MAX_BLOCKED).map(|_| tokio::spawn(blocking(work(hung.clone())))).collect();
            for _ in &all {
                release.send(()).unwrap();
            }
            for one in all {
                one.await.unwrap().unwrap();
            }
        });
    }

    #[test]
    fn the_program_stops_while_work_hangs() {
        let (release, hung) = mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let stopped = run_one(async {
            tokio::spawn(blocking(move || {
                began.send(()).unwrap();
                hung.recv()
            }));
            begun.await
        });
        assert!(stopped.is_ok());
        drop(release);
    }

    #[test]
    fn a_panic_of_the_work_is_the_callers() {
        run_one(async {
            let panicking = blocking(|| -> u8 { panic!("as intended") });
            let panic = AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"as intended"));
            assert_eq!(blocking(|| 7).await, 7, "the thread continues");
        });
    }

    #[test]
    #[should_panic(expected = "as intended")]
    fn a_panic_of_the_program_is_the_callers() {
        run_one(async { panic!("as intended") });
    }

    #[tokio::test]
    async fn work_in_another_programs_runtime_is_done() {
        assert_eq!(blocking(|| 7).await, 7);
        let panic = AssertUnwindSafe(blocking(|| -> u8 { panic!("as intended") })).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as intended"));
    }
}
