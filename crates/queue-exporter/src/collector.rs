//! One read of a queue system: its list, the statistics of each queue, our counters, families.

use std::collections::HashSet;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use exporter_common::{Collector, Faults, Scrape, async_trait, duration};
use futures_util::stream::{self, Stream, StreamExt};

use crate::filter::Filter;
use crate::memory::Memory;
use crate::metrics::{self, Outcomes};
use crate::system::{Listed, Queue, Statistics, System};

/// How many queues are asked for at once.
pub(crate) const CONCURRENCY: usize = 16;

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
    pub(crate) memory: Mutex<Memory>,
}

/// What came of one entry of the list.
#[expect(clippy::large_enum_variant, reason = "nearly every entry is the large one")]
enum Entry {
    Unlisted(anyhow::Error),
    Filtered,
    /// Listed, and not there when it was asked for.
    Missing(Queue),
    Queue(Queue, Result<Statistics>),
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
        let mut faults = Faults::default();
        let mut outcomes = Outcomes::default();
        let mut whole = true;
        let mut missing = Vec::new();
        let mut listed = HashSet::new();
        let mut first_time =
            move |entry: &Result<Listed>| entry.as_ref().map_or(true, |entry| listed.insert(entry.queue.clone()));
        // What is there is exported at once: one queue that hangs must not withhold the others from a
        // scrape that has less time than this read.
        let mut entries = self
            .list(scrape)
            .filter(move |entry| ready(first_time(entry)))
            .map(|entry| self.entry(entry, scrape))
            .buffer_unordered(CONCURRENCY)
            .ready_chunks(CHUNK)
            .boxed();
        while let Some(chunk) = entries.next().await {
            let mut memory = self.memory();
            let mut queues = Vec::with_capacity(chunk.len());
            for entry in chunk {
                match entry {
                    Entry::Unlisted(error) => {
                        whole = false;
                        faults.note(error);
                    }
                    Entry::Filtered => outcomes.filtered += 1,
                    Entry::Missing(queue) => missing.push(queue),
                    Entry::Queue(queue, Ok(mut statistics)) => {
                        memory.follow(&queue, &mut statistics);
                        outcomes.exported += 1;
                        queues.push((queue, statistics));
                    }
                    Entry::Queue(queue, Err(error)) => {
                        memory.keep(&queue);
                        outcomes.error += 1;
                        faults.note(error.context(queue.to_string()));
                    }
                }
            }
            for family in metrics::families(self.system.scope_label(), &queues) {
                scrape.add(family);
            }
        }
        for queue in self.still_listed(missing, scrape).await {
            self.memory().keep(&queue);
            outcomes.error += 1;
            faults.note(anyhow!("{queue} is listed, but not found"));
        }
        if whole {
            self.memory().end_of_list();
            scrape.add(outcomes.family()); // of a list that was cut nobody knows how many there are
        }
        faults.result()
    }
}

impl Queues {
    /// The statistics of a queue: from the list, where it carries them, else asked for.
    async fn entry(&self, listed: Result<Listed>, scrape: &Scrape) -> Entry {
        let Listed { queue, statistics } = match listed {
            Ok(listed) => listed,
            Err(error) => return Entry::Unlisted(error),
        };
        if !self.filter.lets_through(&queue.name) {
            return Entry::Filtered;
        }
        if let Some(statistics) = statistics {
            return Entry::Queue(queue, statistics);
        }
        let limit = self.limit(scrape);
        match tokio::time::timeout(limit, self.system.statistics(&queue)).await {
            Ok(Ok(Some(statistics))) => Entry::Queue(queue, Ok(statistics)),
            Ok(Ok(None)) => Entry::Missing(queue),
            Ok(Err(error)) => Entry::Queue(queue, Err(error)),
            Err(_) => Entry::Queue(queue, Err(late(limit))),
        }
    }

    /// The list, which ends with an error when the next of it takes longer than a call may.
    fn list<'a>(&'a self, scrape: &'a Scrape) -> impl Stream<Item = Result<Listed>> + Send + 'a {
        stream::unfold(Some(self.system.list()), move |list| async move {
            let mut list = list?;
            let limit = self.limit(scrape);
            let (next, list) = match tokio::time::timeout(limit, list.next()).await {
                Ok(next) => (next?, Some(list)),
                Err(_) => (Err(late(limit)), None),
            };
            Some((next.context("cannot list the queues"), list))
        })
    }

    /// How long a call may take now: not all of what is left, so that this read ends by itself and can
    /// say what was late.
    fn limit(&self, scrape: &Scrape) -> Duration {
        self.timeout.min(scrape.time_left().mul_f64(0.95))
    }

    /// Those of the missing queues that were not just deleted: the list, read again, still has them.
    async fn still_listed(&self, missing: Vec<Queue>, scrape: &Scrape) -> Vec<Queue> {
        if missing.is_empty() {
            return missing;
        }
        let list = self.list(scrape);
        let listed: HashSet<_> = list.filter_map(|entry| ready(entry.ok())).map(|entry| entry.queue).collect().await;
        missing.into_iter().filter(|queue| listed.contains(queue)).collect()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner) // every entry of it is whole at any time
    }
}

fn late(limit: Duration) -> anyhow::Error {
    anyhow!("no answer within {}", duration::human(limit))
}
