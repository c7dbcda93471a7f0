//! One read of a queue system: its list, the statistics of each queue, our counters, families.

use std::collections::HashSet;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use exporter_common::{Collector, Faults, Scrape, async_trait, duration};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::fault::{Errors, Reason, fault};
use crate::filter::{Filter, Matches};
use crate::limit::{Limit, Place, Rest};
use crate::memory::Memory;
use crate::metrics::{self, Outcomes};
use crate::system::{Listed, Queue, Statistics, System};

/// How many queues go into one set of families.
const CHUNK: usize = 500;

/// The queues of one queue system.
pub(crate) struct Queues {
    pub(crate) system: Box<dyn System>,
    /// The system's name.
    pub(crate) name: &'static str,
    pub(crate) filter: Filter,
    /// How long one call may take.
    pub(crate) timeout: Duration,
    pub(crate) state: Mutex<State>,
}

/// What is kept from read to read.
#[derive(Default)]
pub(crate) struct State {
    memory: Memory,
    limit: Limit,
    errors: Errors,
    /// The flags whose patterns were told to match nothing.
    idle: Vec<&'static str>,
}

impl State {
    pub(crate) fn new(max_queues: Option<usize>) -> Self {
        Self { limit: Limit::new(max_queues), ..Self::default() }
    }
}

/// How long the calls of one read may take.
struct Time<'a> {
    scrape: &'a Scrape,
    timeout: Duration,
    /// What is kept of the scrape for this read to end by itself, and say what was late.
    reserve: Duration,
}

impl Time<'_> {
    /// Without the list there is nothing else to read.
    fn of_list(&self) -> Duration {
        self.timeout.min(self.left())
    }

    /// Half of what is left: however many queues hang, there is time to ask those behind them.
    fn of_queues(&self) -> Duration {
        self.timeout.min(self.left() / 2)
    }

    fn left(&self) -> Duration {
        self.scrape.time_left().saturating_sub(self.reserve)
    }
}

/// What a call gives that is waited for no longer than this.
async fn limited<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T> {
    if limit < Duration::from_millis(1) {
        return Err(fault(Reason::Timeout, "no time was left to ask"));
    }
    let late = |_| fault(Reason::Timeout, format!("no answer within {}", duration::human(limit)));
    tokio::time::timeout(limit, call).await.map_err(late)
}

/// What came of one entry of the list.
#[expect(clippy::large_enum_variant, reason = "nearly every entry is the large one")]
enum Entry {
    Unlisted(Error),
    Filtered,
    /// Listed, and not there when it was asked for.
    Missing(Queue),
    Queue(Queue, Result<Statistics>),
    /// A call for several queues failed.
    Failed(Vec<Queue>, Error),
}

#[async_trait]
impl Collector for Queues {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn success_metric(&self) -> Option<&'static str> {
        Some("queue_exporter_scrape_success")
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        scrape.add(metrics::info(self.name));
        for family in metrics::origins(&*self.system) {
            scrape.add(family);
        }
        let result = self.queues(scrape).await;
        scrape.add(self.state().errors.family());
        if let Some(gaps) = self.system.event_gaps() {
            scrape.add(metrics::event_gaps(gaps));
        }
        result
    }
}

impl Queues {
    async fn queues(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        let mut note = |error: Error| {
            self.state().errors.count(&error);
            faults.note(error);
        };
        let mut outcomes = Outcomes::default();
        let (mut whole, mut rest_whole) = (true, true);
        let (mut undecided, mut rest) = (Vec::new(), Rest::default());
        let mut missing = Vec::new();
        let mut listed = HashSet::new();
        let matches = Mutex::new(Matches::default());
        let mut first_time =
            move |entry: &Result<Listed>| entry.as_ref().map_or(true, |entry| listed.insert(entry.queue.clone()));
        let batch = self.system.batch();
        let time = Time { scrape, timeout: self.timeout, reserve: scrape.time_left() / 20 };
        // What is there is exported at once: one queue that hangs must not withhold the others from a
        // scrape that has less time than this read.
        let mut entries = self
            .list(&time)
            .filter(move |entry| ready(first_time(entry)))
            .ready_chunks(batch.size)
            .map(|listed| self.entries(listed, &matches, &time))
            .buffer_unordered(batch.at_once)
            .map(stream::iter)
            .flatten()
            .ready_chunks(CHUNK)
            .boxed();
        while let Some(chunk) = entries.next().await {
            let mut queues = Vec::with_capacity(chunk.len());
            for entry in chunk {
                match entry {
                    Entry::Unlisted(error) => {
                        whole = false;
                        note(error);
                    }
                    Entry::Filtered => outcomes.filtered += 1,
                    Entry::Missing(queue) => missing.push(queue),
                    Entry::Queue(queue, Ok(mut statistics)) => {
                        let State { memory, limit, .. } = &mut *self.state();
                        let increase = memory.follow(&queue, &mut statistics);
                        match limit.place(&queue) {
                            Place::Exported => queues.push((queue, statistics)),
                            Place::Undecided => undecided.push((queue, statistics, increase)),
                            Place::Other => limit.add(&mut rest, &statistics, increase),
                        }
                    }
                    Entry::Queue(queue, Err(error)) => {
                        rest_whole &= self.still_there(&queue);
                        outcomes.error += 1;
                        note(error.context(queue.to_string()));
                    }
                    Entry::Failed(queues, error) => {
                        for queue in &queues {
                            rest_whole &= self.still_there(queue);
                        }
                        outcomes.error += queues.len() as u64;
                        note(error.context(format!("{} queues", queues.len())));
                    }
                }
            }
            outcomes.exported += named(&queues);
            for family in metrics::families(&*self.system, self.name, &queues) {
                scrape.add(family);
            }
        }
        drop(entries);
        for queue in self.still_listed(missing, &time).await {
            rest_whole &= self.still_there(&queue);
            outcomes.error += 1;
            note(fault(Reason::Partial, format!("{queue} is listed, but not found")));
        }
        let state = &mut *self.state();
        let mut queues = state.limit.choose(&mut undecided, whole && rest_whole);
        outcomes.exported += named(&queues);
        for (_, statistics, increase) in undecided {
            state.limit.add(&mut rest, &statistics, increase);
        }
        outcomes.over_limit = rest.queues;
        queues.extend(state.limit.other(rest, whole && rest_whole));
        for family in metrics::families(&*self.system, self.name, &queues) {
            scrape.add(family);
        }
        if whole {
            state.memory.end_of_list();
            state.limit.free(&state.memory);
            scrape.add(outcomes.family()); // of a list that was cut nobody knows how many there are
            let matches = matches.into_inner().unwrap_or_else(PoisonError::into_inner);
            scrape.add(self.filter.family(matches));
            state.tell_idle(self.filter.idle(matches));
        }
        faults.result()
    }

    /// What came of some of the list: statistics as they were listed, or else asked for with one call.
    async fn entries(&self, listed: Vec<Result<Listed>>, matches: &Mutex<Matches>, time: &Time<'_>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(listed.len());
        let mut asked = Vec::new();
        for listed in listed {
            let Listed { queue, statistics } = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    entries.push(Entry::Unlisted(error));
                    continue;
                }
            };
            let matches = &mut *matches.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.filter.lets_through(&queue.name, matches) {
                entries.push(Entry::Filtered);
            } else if let Some(statistics) = statistics {
                entries.push(Entry::Queue(queue, statistics));
            } else {
                asked.push(queue);
            }
        }
        if asked.is_empty() {
            return entries;
        }
        match limited(time.of_queues(), self.system.read(&asked)).await.and_then(|read| read) {
            Ok(read) => entries.extend(read.into_iter().map(|Listed { queue, statistics }| match statistics {
                Some(statistics) => Entry::Queue(queue, statistics),
                None => Entry::Missing(queue),
            })),
            Err(error) => match <[Queue; 1]>::try_from(asked) {
                Ok([queue]) => entries.push(Entry::Queue(queue, Err(error))),
                Err(queues) => entries.push(Entry::Failed(queues, error)),
            },
        }
        entries
    }

    /// The list, which ends with an error when the next of it takes longer than a call may.
    fn list<'a>(&'a self, time: &'a Time<'a>) -> impl Stream<Item = Result<Listed>> + Send + 'a {
        let list = stream::once(self.refresh(time.scrape)).map_ok(|()| self.system.list()).try_flatten().boxed();
        stream::unfold(Some(list), move |list| async move {
            let mut list = list?;
            let (next, list) = match limited(time.of_list(), list.next()).await {
                Ok(next) => (next?, Some(list)),
                Err(late) => (Err(late), None),
            };
            Some((next.context("cannot list the queues"), list))
        })
    }

    /// Reads the password again where it lies in a file.
    async fn refresh(&self, scrape: &Scrape) -> Result<()> {
        match self.system.credentials() {
            Some(credentials) => credentials.refresh(scrape).await,
            None => Ok(()),
        }
    }

    /// Those of the queues that a new list still has: what is in neither was deleted.
    async fn still_listed(&self, queues: Vec<Queue>, time: &Time<'_>) -> Vec<Queue> {
        if queues.is_empty() {
            return queues;
        }
        let list = self.list(time).filter_map(|entry| ready(entry.ok().map(|entry| entry.queue)));
        let listed: HashSet<Queue> = list.collect().await;
        queues.into_iter().filter(|queue| listed.contains(queue)).collect()
    }

    /// Notes that a queue is there though its statistics could not be read, and says whether the rest
    /// can be whole without it.
    fn still_there(&self, queue: &Queue) -> bool {
        let state = &mut *self.state();
        state.memory.keep(queue);
        state.limit.place(queue) == Place::Exported
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Logs once that patterns match nothing.
    fn tell_idle(&mut self, idle: Vec<&'static str>) {
        for flag in idle.iter().filter(|flag| !self.idle.contains(flag)) {
            tracing::warn!("--queue.{flag} matches none of the queues that are there");
        }
        self.idle = idle;
    }
}

/// How many of them are queues, and not what a system says of all of them.
fn named(queues: &metrics::Read) -> u64 {
    queues.iter().filter(|(queue, _)| !queue.name.is_empty()).count() as u64
}
