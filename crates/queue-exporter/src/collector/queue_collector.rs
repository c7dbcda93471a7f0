//! One read of a queue system: its list, the statistics of each queue, and the resulting metrics.

use std::collections::HashSet;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use exporter_common::{Collector, Faults, Scrape, async_trait};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::broker_metrics::BrokerCounters;
use super::counter_memory::CounterMemory;
use super::deadline::{Deadline, limited};
use super::metrics::{self, Outcomes};
use super::queue_filter::{PatternMatches, QueueFilter};
use super::queue_limit::{OtherQueues, QueueLimit, Selection, UndecidedQueue};
use super::report::Report;
use crate::queue_system::{ListedQueue, QueueId, QueueSystem, Statistics};
use crate::read_error::{ErrorCounts, Reason, read_error};

/// How many queues go into one set of families.
const CHUNK: usize = 500;

/// The queues of one queue system.
pub(crate) struct QueueCollector {
    system: Box<dyn QueueSystem>,
    system_name: &'static str,
    filter: QueueFilter,
    request_timeout: Duration,
    /// Whether histograms keep their native buckets.
    native_histograms: bool,
    state: Mutex<State>,
    /// With `--probe`.
    report: Option<Arc<Mutex<Report>>>,
}

/// State kept between reads.
#[derive(Default)]
struct State {
    memory: CounterMemory,
    limit: QueueLimit,
    broker: BrokerCounters,
    errors: ErrorCounts,
    /// The flags whose patterns were reported to match nothing.
    unmatched: Vec<&'static str>,
}

/// The result for one entry of the list.
#[expect(clippy::large_enum_variant, reason = "nearly every entry is the large one")]
enum Entry {
    ListError(Error),
    Filtered,
    /// Listed, and not found when it was read.
    Missing(QueueId),
    Queue(QueueId, Result<Statistics>),
    /// A request for several queues failed.
    Failed(Vec<QueueId>, Error),
}

/// The progress of one read.
#[derive(Default)]
struct Progress {
    faults: Faults,
    outcomes: Outcomes,
    list_incomplete: bool,
    /// Whether the statistics of a queue over the limit are missing.
    others_incomplete: bool,
    undecided: Vec<UndecidedQueue>,
    others: OtherQueues,
    missing: Vec<QueueId>,
}

#[async_trait]
impl Collector for QueueCollector {
    fn name(&self) -> &'static str {
        "queue"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        scrape.add(metrics::info(self.system_name));
        for family in metrics::origins(&*self.system) {
            scrape.add(family);
        }
        let result = self.read(scrape).await;
        scrape.add(self.state().errors.family());
        if let Some(gaps) = self.system.event_gaps() {
            scrape.add(metrics::event_gaps(gaps));
        }
        result
    }
}

impl QueueCollector {
    pub(crate) fn new(
        system: Box<dyn QueueSystem>,
        system_name: &'static str,
        filter: QueueFilter,
        request_timeout: Duration,
        max_queues: Option<usize>,
        native_histograms: bool,
    ) -> Self {
        let state = Mutex::new(State { limit: QueueLimit::new(max_queues), ..State::default() });
        Self { system, system_name, filter, request_timeout, native_histograms, state, report: None }
    }

    /// Reports reads for `--probe`: then a read that finds no queue fails. Returns the lines of the last report.
    pub(crate) fn probe(&mut self) -> impl Fn() -> Vec<String> + use<> {
        let report = Arc::<Mutex<Report>>::default();
        self.report = Some(report.clone());
        move || report.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }

    fn probed(&self) -> Option<MutexGuard<'_, Report>> {
        self.report.as_ref().map(|report| report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The background work of the queue system.
    pub(crate) async fn run(self: Arc<Self>) -> Result<()> {
        self.system.run(&|name| self.filter.accepts(name, &mut PatternMatches::default())).await;
        Ok(())
    }

    async fn read(&self, scrape: &Scrape) -> Result<()> {
        let mut progress = Progress::default();
        let matches = Mutex::new(PatternMatches::default());
        let deadline = Deadline::new(scrape, self.request_timeout);
        let batch = self.system.batch();
        let mut listed = HashSet::new();
        let mut is_first =
            move |entry: &Result<ListedQueue>| entry.as_ref().map_or(true, |entry| listed.insert(entry.queue.clone()));
        // Each chunk is exported immediately: if one queue hangs, a scrape with a shorter timeout than this read still
        // gets the others.
        let mut entries = self
            .list(&deadline)
            .filter(move |entry| ready(is_first(entry)))
            .ready_chunks(batch.size)
            .map(|listed| self.read_batch(listed, &matches, &deadline))
            .buffer_unordered(batch.concurrency)
            .map(stream::iter)
            .flatten()
            .ready_chunks(CHUNK)
            .boxed();
        while let Some(chunk) = entries.next().await {
            let mut queues = Vec::with_capacity(chunk.len());
            for entry in chunk {
                queues.extend(self.process(entry, &mut progress));
            }
            self.export(scrape, &mut progress, &queues);
        }
        drop(entries);
        for queue in self.still_listed(std::mem::take(&mut progress.missing), &deadline).await {
            let error = read_error(Reason::Partial, format!("{queue} is listed, but not found"));
            self.note_unreadable(&mut progress, &[queue], error);
        }
        if !progress.list_incomplete {
            let listed = limited(deadline.for_queues(), self.system.listed(progress.outcomes.listed())).await;
            if let Err(error) = listed {
                tracing::debug!(error = format!("{error:#}"), "cannot look for queues that the list lacks");
            }
        }
        if !progress.list_incomplete || progress.outcomes.listed() > 0 {
            self.read_broker(scrape, &mut progress, &deadline).await;
        }
        self.finish(scrape, progress, matches.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads and exports the health of the broker.
    async fn read_broker(&self, scrape: &Scrape, progress: &mut Progress, deadline: &Deadline<'_>) {
        match limited(deadline.for_queues(), self.system.broker()).await.and_then(|health| health) {
            Ok(health) => self.state().broker.families(&health).into_iter().for_each(|family| scrape.add(family)),
            Err(error) => self.note(progress, error.context("the health of the broker")),
        }
    }

    /// Records one entry, and returns the queue if it is exported individually.
    fn process(&self, entry: Entry, progress: &mut Progress) -> Option<(QueueId, Statistics)> {
        match entry {
            Entry::ListError(error) => {
                progress.list_incomplete = true;
                self.note(progress, error);
            }
            Entry::Filtered => progress.outcomes.filtered += 1,
            Entry::Missing(queue) => progress.missing.push(queue),
            Entry::Queue(queue, Ok(mut statistics)) => {
                if let Some(gap) = statistics.gap {
                    self.note(progress, read_error(Reason::Partial, format!("{queue}: {gap}")));
                }
                if let Some(mut report) = self.probed() {
                    report.add_queue(&queue, &statistics);
                }
                if let (Some(processing), false) = (&mut statistics.processing, self.native_histograms) {
                    processing.native = None;
                }
                let State { memory, limit, .. } = &mut *self.state();
                match limit.selection(&queue) {
                    Selection::Individual => {
                        memory.update(&queue, &mut statistics);
                        return Some((queue, statistics));
                    }
                    Selection::Undecided => {
                        let increase = memory.increase(&queue, &mut statistics);
                        progress.undecided.push((queue, statistics, increase));
                    }
                    Selection::Other => {
                        let increase = memory.increase(&queue, &mut statistics);
                        limit.add(&mut progress.others, &statistics, increase);
                    }
                }
            }
            Entry::Queue(queue, Err(error)) => {
                let error = error.context(queue.to_string());
                self.note_unreadable(progress, &[queue], error);
            }
            Entry::Failed(queues, error) => {
                let error = error.context(format!("{} queues", queues.len()));
                self.note_unreadable(progress, &queues, error);
            }
        }
        None
    }

    /// Exports the queues that were undecided and the sum of the others, and completes the read.
    fn finish(&self, scrape: &Scrape, mut progress: Progress, matches: PatternMatches) -> Result<()> {
        let complete = !progress.list_incomplete && !progress.others_incomplete;
        let mut undecided = std::mem::take(&mut progress.undecided);
        let queues = self.state().limit.select(&mut undecided, complete);
        self.export(scrape, &mut progress, &queues);
        let state = &mut *self.state();
        for (_, statistics, increase) in undecided {
            state.limit.add(&mut progress.others, &statistics, increase);
        }
        progress.outcomes.over_limit = progress.others.count;
        let other: Vec<_> = state.limit.other_queue(progress.others, complete).into_iter().collect();
        for family in metrics::families(&*self.system, self.system_name, &other) {
            scrape.add(family);
        }
        progress.outcomes.hidden = self.system.hidden_queues();
        if !progress.list_incomplete {
            state.memory.complete_list();
            state.limit.remove_missing(&state.memory);
            scrape.add(self.filter.family(matches));
            state.log_unmatched(self.filter.unmatched(matches));
        } else {
            state.memory.incomplete_list();
        }
        if !progress.list_incomplete || progress.outcomes != Outcomes::default() {
            scrape.add(progress.outcomes.family());
        }
        if let Some(mut report) = self.probed() {
            report.finish(progress.outcomes, !progress.list_incomplete);
            let Outcomes { exported, over_limit, hidden, .. } = progress.outcomes;
            if exported + over_limit == 0 {
                progress.faults.note(read_error(Reason::Partial, "no queues found"));
            } else if hidden > 0 {
                progress.faults.note(read_error(Reason::Partial, format!("{hidden} more queues exist")));
            }
        }
        progress.faults.result()
    }

    fn export(&self, scrape: &Scrape, progress: &mut Progress, queues: &[(QueueId, Statistics)]) {
        // totals of the queue system are not a queue
        progress.outcomes.exported += queues.iter().filter(|(queue, _)| !queue.name.is_empty()).count() as u64;
        for family in metrics::families(&*self.system, self.system_name, queues) {
            scrape.add(family);
        }
    }

    fn note(&self, progress: &mut Progress, error: Error) {
        self.state().errors.count(&error);
        progress.faults.note(error);
    }

    /// Records that queues exist although their statistics could not be read.
    fn note_unreadable(&self, progress: &mut Progress, queues: &[QueueId], error: Error) {
        for queue in queues {
            let state = &mut *self.state();
            state.memory.keep(queue);
            progress.others_incomplete |= state.limit.selection(queue) != Selection::Individual;
        }
        progress.outcomes.error += queues.len() as u64;
        if let Some(mut report) = self.probed() {
            report.add_error(queues, &format!("{error:#}"));
        }
        self.note(progress, error);
    }

    /// The results for a part of the list. Queues that were listed without statistics are read with one request.
    async fn read_batch(
        &self,
        listed: Vec<Result<ListedQueue>>,
        matches: &Mutex<PatternMatches>,
        deadline: &Deadline<'_>,
    ) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(listed.len());
        let mut unread = Vec::new();
        for listed in listed {
            let ListedQueue { queue, statistics } = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    entries.push(Entry::ListError(error));
                    continue;
                }
            };
            let matches = &mut *matches.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.filter.accepts(&queue.name, matches) {
                entries.push(Entry::Filtered);
            } else if let Some(statistics) = statistics {
                entries.push(Entry::Queue(queue, statistics));
            } else {
                unread.push(queue);
            }
        }
        if unread.is_empty() {
            return entries;
        }
        match limited(deadline.for_queues(), self.system.read(&unread)).await.and_then(|read| read) {
            Ok(read) => entries.extend(read.into_iter().map(|ListedQueue { queue, statistics }| match statistics {
                Some(statistics) => Entry::Queue(queue, statistics),
                None => Entry::Missing(queue),
            })),
            Err(error) => match <[QueueId; 1]>::try_from(unread) {
                Ok([queue]) => entries.push(Entry::Queue(queue, Err(error))),
                Err(queues) => entries.push(Entry::Failed(queues, error)),
            },
        }
        entries
    }

    /// The list. It ends with an error if its next part takes longer than the timeout.
    fn list<'a>(&'a self, deadline: &'a Deadline<'a>) -> impl Stream<Item = Result<ListedQueue>> + Send + 'a {
        let start = move |()| {
            self.system.limit(deadline.for_list());
            self.system.list()
        };
        let list = stream::once(self.reload_password(deadline.scrape)).map_ok(start).try_flatten().boxed();
        stream::unfold(Some(list), move |list| async move {
            let mut list = list?;
            let (next, list) = match limited(deadline.for_list(), list.next()).await {
                Ok(next) => (next?, Some(list)),
                Err(late) => (Err(late), None),
            };
            Some((next.context("cannot list the queues"), list))
        })
    }

    async fn reload_password(&self, scrape: &Scrape) -> Result<()> {
        match self.system.credentials() {
            Some(credentials) => credentials.refresh(scrape).await,
            None => Ok(()),
        }
    }

    /// The missing queues that a new list still contains; the others were deleted in the meantime.
    async fn still_listed(&self, missing: Vec<QueueId>, deadline: &Deadline<'_>) -> Vec<QueueId> {
        if missing.is_empty() {
            return missing;
        }
        let list = self.list(deadline).filter_map(|entry| ready(entry.ok().map(|entry| entry.queue)));
        let listed: HashSet<QueueId> = list.collect().await;
        missing.into_iter().filter(|queue| listed.contains(queue)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Logs once that patterns match nothing.
    fn log_unmatched(&mut self, unmatched: Vec<&'static str>) {
        for flag in unmatched.iter().filter(|flag| !self.unmatched.contains(flag)) {
            tracing::warn!("--queue.{flag} matches none of the existing queues");
        }
        self.unmatched = unmatched;
    }
}
