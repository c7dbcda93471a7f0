//! Reading partitions: their offsets, and the times of the oldest records that groups have not processed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Error;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::budgets::Budgets;
use super::cluster::{Brokers, Cluster, Limits, Node};
use super::errors::{OFFSET_OUT_OF_RANGE, TOPIC_AUTHORIZATION_FAILED, check};
use super::messages::{Fetch, Fetched, ListOffsets, Partition, Position, TopicFetch, TopicPartitions};
use super::records::Found;
use crate::read_error::{Reason, read_error, reason};

/// The partitions of topics.
pub(super) type Topics = BTreeMap<String, Vec<Partition>>;

/// The offsets of the oldest and of the next record of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// An error of a partition, which several queues report.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    reason: Reason,
    text: String,
}

impl Failure {
    pub(super) fn error(&self) -> Error {
        read_error(self.reason, self.text.clone())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { reason: reason(&error), text: format!("{error:#}") }
    }
}

/// The offsets of partitions by topic.
pub(super) type Offsets = HashMap<String, HashMap<i32, Result<Range, Failure>>>;

/// An offset in a partition of a topic.
pub(super) type RecordPosition<'a> = (&'a str, i32, i64);

/// The result of a search for the time of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RecordTime {
    /// Milliseconds since the Unix epoch.
    At(i64),
    /// There is no record with a time at or after the offset.
    Missing,
    /// There is none before this offset, and the broker did not send the next one.
    After(i64),
    Unread(&'static str),
}

/// Partitions in one request.
const LISTED: usize = 5000;
const FETCHED: usize = 200;

/// The size of records in a response, for each of several partitions and for a single one. Producers send batches of at
/// most the latter by default.
const SHARED_BYTES: i32 = 1 << 10;
const SINGLE_BYTES: i32 = 16 << 10;

/// Requests for a single partition that are sent without waiting in between. If one fails, the others are lost.
const PIPELINED: usize = 8;

const LEADER_FAILED: &str =
    "the time of the oldest message could not be read: the leader of its partition failed or moved";
const NO_PERMISSION: &str =
    "the time of the oldest message could not be read: grant the user READ on the topic, or set ?age=false";
const TOO_MANY: &str = "the times of the oldest messages of more than 10,000 partitions were not read: set ?age=false";
const TOO_LARGE: &str = "the time of the oldest message was not read: more than 2,000 batches exceed 1 KiB, they exceed \
                         256 MB, or there was no time for them: set ?age=false";

impl Cluster {
    /// The offsets of all partitions of these topics, from their leaders.
    pub(super) async fn offsets(
        &self,
        brokers: &Brokers,
        topics: &Topics,
        names: &BTreeSet<&str>,
        limits: Limits<'_>,
    ) -> Offsets {
        let mut offsets = Offsets::new();
        let mut by_leader = BTreeMap::<i32, Vec<(&str, i32)>>::new();
        for (topic, partitions) in names.iter().filter_map(|name| topics.get_key_value(*name)) {
            let of_topic = offsets.entry(topic.clone()).or_default();
            for partition in partitions {
                if brokers.contains_key(&partition.leader) {
                    by_leader.entry(partition.leader).or_default().push((topic, partition.index));
                }
                let text = format!("partition {} has no leader", partition.index);
                of_topic.insert(partition.index, Err(read_error(Reason::Partial, text).into()));
            }
        }
        let reads = by_leader.iter().filter_map(|(leader, partitions)| {
            let node = brokers.get(leader)?;
            Some(async move {
                let requests = partitions.chunks(LISTED).flat_map(|chunk| {
                    let topics = by_topic(chunk.iter().copied());
                    [Position::Start, Position::End].map(|position| ListOffsets { position, topics: topics.clone() })
                });
                let requests: Vec<_> = requests.collect();
                (partitions, self.call(node, &requests, limits).await)
            })
        });
        for (partitions, responses) in join_all(reads).await {
            match responses {
                Ok(responses) => {
                    let mut responses = responses.into_iter();
                    for chunk in partitions.chunks(LISTED) {
                        let [start, end] = [responses.next(), responses.next()];
                        let [start, end] = [start, end].map(|response| {
                            response.unwrap_or_else(|| Err(anyhow::anyhow!("no response"))).map_err(Failure::from)
                        });
                        set_ranges(&mut offsets, chunk, start, end);
                    }
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    for (topic, partition) in partitions {
                        set(&mut offsets, topic, *partition, Err(failure.clone()));
                    }
                }
            }
        }
        offsets
    }

    /// The times of the first records at positions, from the leaders of the partitions.
    pub(super) async fn record_times<'a>(
        &self,
        brokers: &Brokers,
        topics: &Topics,
        budgets: &Budgets,
        positions: &BTreeSet<RecordPosition<'a>>,
        until: Instant,
    ) -> HashMap<RecordPosition<'a>, RecordTime> {
        let limits = Limits { until, budget: &budgets.record_bytes };
        let names: BTreeSet<_> = positions.iter().map(|it| it.0).collect();
        let partitions =
            names.into_iter().flat_map(|name| topics.get(name).into_iter().flatten().map(move |it| (name, it)));
        let leaders: HashMap<_, _> = partitions.map(|(name, it)| ((name, it.index), it.leader)).collect();
        let mut times = HashMap::with_capacity(positions.len());
        let mut by_leader = BTreeMap::<i32, Vec<RecordPosition<'a>>>::new();
        let granted = budgets.records.grant(positions.len());
        for position in positions {
            let leader = leaders.get(&(position.0, position.1));
            let is_read = times.len() < granted;
            times.insert(*position, RecordTime::Unread(if is_read { LEADER_FAILED } else { TOO_MANY }));
            if let Some(leader) = leader.filter(|_| is_read) {
                by_leader.entry(*leader).or_default().push(*position);
            }
        }
        let reads = by_leader.iter().filter_map(|(leader, positions)| {
            let node = brokers.get(leader)?;
            let (chunks, requests): (Vec<_>, Vec<_>) = fetches(positions).into_iter().unzip();
            Some(async move { (self.call(node, &requests, limits).await, chunks) })
        });
        for (responses, chunks) in join_all(reads).await {
            for (chunk, response) in chunks.iter().zip(responses.unwrap_or_default()) {
                let Ok(response) = response else { continue };
                // a response that is too large ends before the last partitions
                times.extend(chunk.iter().map(|position| (*position, RecordTime::After(position.2))));
                add_times(&mut times, chunk, response);
            }
        }
        let unsent = unsent(&by_leader, &mut times, |wanted| budgets.single_records.grant(wanted));
        let reads = unsent
            .iter()
            .filter_map(|(leader, positions)| Some(self.single_record_times(brokers.get(leader)?, positions, limits)));
        join_all(reads).await.into_iter().for_each(|read| times.extend(read));
        times
    }

    /// The same for one leader with a request for each position, to which a broker sends the batch whatever its size. The
    /// positions have the offsets up to which there is no record.
    async fn single_record_times<'a>(
        &self,
        node: &Node,
        positions: &[(RecordPosition<'a>, i64)],
        limits: Limits<'_>,
    ) -> HashMap<RecordPosition<'a>, RecordTime> {
        let mut times: HashMap<_, _> = positions.iter().map(|it| (it.0, RecordTime::Unread(TOO_LARGE))).collect();
        for chunk in positions.chunks(PIPELINED) {
            let request = |((topic, partition, _), next): &_| fetch(&[(*topic, *partition, *next)], SINGLE_BYTES);
            let requests: Vec<_> = chunk.iter().map(request).collect();
            match self.call(node, &requests, limits).await {
                Ok(responses) => {
                    for ((position, next), response) in chunk.iter().zip(responses) {
                        let partitions = response.unwrap_or_default().into_iter().flat_map(|topic| topic.1);
                        let time = partitions.filter_map(|fetched| record_time(&fetched, *next)).next();
                        times.insert(*position, time.unwrap_or(RecordTime::Unread(LEADER_FAILED)));
                    }
                }
                Err(_) => break,
            }
        }
        times
    }
}

/// The positions by leader whose records were not sent, with the offsets up to which there is no record. If fewer are
/// granted, every leader gets an equal share.
fn unsent<'a>(
    by_leader: &BTreeMap<i32, Vec<RecordPosition<'a>>>,
    times: &mut HashMap<RecordPosition<'a>, RecordTime>,
    grant: impl FnOnce(usize) -> usize,
) -> BTreeMap<i32, Vec<(RecordPosition<'a>, i64)>> {
    let next = |position: &RecordPosition<'a>| match times.get(position) {
        Some(RecordTime::After(next)) => Some((*position, *next)),
        _ => None,
    };
    let ranked = by_leader.iter().flat_map(|(leader, positions)| {
        positions.iter().filter_map(next).enumerate().map(|(rank, unsent)| (rank, *leader, unsent))
    });
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by_key(|(rank, ..)| *rank);
    let refused = ranked.split_off(grant(ranked.len()));
    times.extend(refused.into_iter().map(|(.., (position, _))| (position, RecordTime::Unread(TOO_LARGE))));
    let mut unsent = BTreeMap::<_, Vec<_>>::new();
    for (_, leader, position) in ranked {
        unsent.entry(leader).or_default().push(position);
    }
    unsent
}

/// Requests for positions; in each, a partition occurs once.
fn fetches<'a>(positions: &[RecordPosition<'a>]) -> Vec<(Vec<RecordPosition<'a>>, Fetch)> {
    let mut rounds = Vec::<Vec<RecordPosition<'a>>>::new();
    let mut last = (None, 0);
    for position in positions {
        let partition = Some((position.0, position.1));
        last = if last.0 == partition { (partition, last.1 + 1) } else { (partition, 0) };
        if rounds.len() == last.1 {
            rounds.push(Vec::new());
        }
        rounds[last.1].push(*position);
    }
    let chunks = rounds.iter().flat_map(|round| round.chunks(FETCHED));
    chunks.map(|chunk| (chunk.to_vec(), fetch(chunk, SHARED_BYTES))).collect()
}

fn fetch(positions: &[RecordPosition<'_>], partition_bytes: i32) -> Fetch {
    let mut topics = Vec::<TopicFetch>::new();
    for (topic, partition, offset) in positions {
        if topics.last().is_none_or(|(last, _)| last != topic) {
            topics.push(((*topic).to_owned(), Vec::new()));
        }
        topics.last_mut().into_iter().for_each(|(_, partitions)| partitions.push((*partition, *offset)));
    }
    Fetch { topics, partition_bytes }
}

/// Adds the times in the response to the request for these positions.
fn add_times<'a>(
    times: &mut HashMap<RecordPosition<'a>, RecordTime>,
    requested: &[RecordPosition<'a>],
    response: Vec<(String, Vec<Fetched>)>,
) {
    for (topic, partitions) in response {
        for fetched in partitions {
            let is_requested = |it: &&RecordPosition<'a>| it.1 == fetched.index && it.0 == topic;
            let Some(position) = requested.iter().find(is_requested) else { continue };
            times.extend(record_time(&fetched, position.2).map(|time| (*position, time)));
        }
    }
}

/// The time of the first record at or after an offset of a requested partition.
fn record_time(fetched: &Fetched, offset: i64) -> Option<RecordTime> {
    Some(match (fetched.error, fetched.found?) {
        (0, Found::Record(time @ 0..)) => RecordTime::At(time),
        // the producer is too old to send times
        (0, Found::Record(_)) => RecordTime::Missing,
        // only markers of transactions are left
        (0, Found::NoneBefore(end)) if end > offset && end >= fetched.end => RecordTime::Missing,
        (0, Found::NoneBefore(end)) => RecordTime::After(end),
        // deleted in the meantime
        (OFFSET_OUT_OF_RANGE, _) => RecordTime::Missing,
        (TOPIC_AUTHORIZATION_FAILED, _) => RecordTime::Unread(NO_PERMISSION),
        _ => RecordTime::Unread(LEADER_FAILED),
    })
}

/// The partitions, which are sorted, by topic.
fn by_topic<'a>(partitions: impl Iterator<Item = (&'a str, i32)>) -> Vec<TopicPartitions> {
    let mut topics = Vec::<TopicPartitions>::new();
    for (topic, partition) in partitions {
        if topics.last().is_none_or(|(last, _)| last != topic) {
            topics.push((topic.to_owned(), Vec::new()));
        }
        topics.last_mut().into_iter().for_each(|(_, partitions)| partitions.push(partition));
    }
    topics
}

/// The response to [`ListOffsets`].
type Listed = Result<Vec<(String, Vec<(i32, i16, i64)>)>, Failure>;

/// The same by topic and partition: error code, offset.
type ListedByPartition = Result<HashMap<String, HashMap<i32, (i16, i64)>>, Failure>;

/// Sets the ranges of partitions from the responses for both ends.
fn set_ranges(offsets: &mut Offsets, partitions: &[(&str, i32)], start: Listed, end: Listed) {
    let index = |listed: Listed| -> ListedByPartition {
        listed.map(|topics| {
            let offsets =
                |partitions: Vec<(i32, i16, i64)>| partitions.into_iter().map(|(at, code, it)| (at, (code, it)));
            let topics = topics.into_iter().map(|(name, partitions)| (name, offsets(partitions).collect()));
            topics.collect()
        })
    };
    let (starts, ends) = (index(start), index(end));
    for (topic, partition) in partitions {
        let offset = |listed: &ListedByPartition| {
            let found = listed.as_ref().map_err(Clone::clone)?.get(*topic).and_then(|it| it.get(partition));
            let missing = || Failure::from(anyhow::anyhow!("partition {partition}: its offset is missing"));
            let (code, offset) = found.ok_or_else(missing)?;
            check(*code).map_err(|error| Failure::from(error.context(format!("partition {partition}"))))?;
            if *offset < 0 { Err(missing()) } else { Ok(*offset) }
        };
        let range = offset(&starts).and_then(|start| Ok(Range { start, end: offset(&ends)?.max(start) }));
        set(offsets, topic, *partition, range);
    }
}

fn set(offsets: &mut Offsets, topic: &str, partition: i32, range: Result<Range, Failure>) {
    if let Some(of_topic) = offsets.get_mut(topic) {
        of_topic.insert(partition, range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_occurs_once_in_a_request() {
        let positions = [("a", 0, 5), ("a", 0, 9), ("a", 1, 5), ("b", 0, 1), ("b", 0, 2), ("b", 0, 3)];
        let requests: Vec<_> = fetches(&positions).into_iter().map(|(_, it)| it.topics).collect();
        let topic = |name: &str, partitions: &[(i32, i64)]| (name.to_owned(), partitions.to_vec());
        assert_eq!(
            requests,
            [
                vec![topic("a", &[(0, 5), (1, 5)]), topic("b", &[(0, 1)])],
                vec![topic("a", &[(0, 9)]), topic("b", &[(0, 2)])],
                vec![topic("b", &[(0, 3)])],
            ]
        );
        let many: Vec<_> = (0..500).map(|partition| ("a", partition, 0)).collect();
        assert_eq!(fetches(&many).len(), 3);
    }

    #[test]
    fn requests_for_single_records_are_shared_equally_by_the_leaders() {
        let of_leader = |leader: i32, count| (leader, (0..count).map(|index| ("a", leader * 10 + index, 5)).collect());
        let by_leader: BTreeMap<i32, Vec<RecordPosition<'_>>> =
            BTreeMap::from([of_leader(1, 5), of_leader(2, 1), of_leader(3, 5)]);
        let all = || by_leader.values().flatten().map(|position| (*position, RecordTime::After(7)));
        let mut times: HashMap<_, _> = all().collect();
        times.insert(("a", 10, 5), RecordTime::At(1));
        let granted = unsent(&by_leader, &mut times, |wanted| wanted.min(7));
        let partitions = granted.iter().map(|(leader, it)| (*leader, it.iter().map(|it| it.0.1).collect::<Vec<_>>()));
        assert_eq!(partitions.collect::<Vec<_>>(), [(1, vec![11, 12, 13]), (2, vec![20]), (3, vec![30, 31, 32])]);
        let refused = times.iter().filter(|(_, time)| **time == RecordTime::Unread(TOO_LARGE));
        let refused: BTreeSet<_> = refused.map(|(position, _)| position.1).collect();
        assert_eq!(refused, BTreeSet::from([14, 33, 34]));
        assert_eq!(unsent(&by_leader, &mut all().collect(), |wanted| wanted)[&3].len(), 5);
    }

    #[test]
    fn a_record_that_was_not_sent_is_not_missing() {
        let read = |error: i16, found: Found, end: i64| {
            record_time(&Fetched { index: 0, error, end, found: Some(found) }, 5).unwrap()
        };
        assert_eq!(read(0, Found::Record(1000), 9), RecordTime::At(1000));
        assert_eq!(read(0, Found::Record(-1), 9), RecordTime::Missing, "the producer sent no time");
        assert_eq!(read(0, Found::NoneBefore(9), 9), RecordTime::Missing, "only markers");
        assert_eq!(read(0, Found::NoneBefore(8), 9), RecordTime::After(8));
        assert_eq!(read(0, Found::NoneBefore(5), 9), RecordTime::After(5));
        assert_eq!(read(OFFSET_OUT_OF_RANGE, Found::NoneBefore(5), -1), RecordTime::Missing);
        assert_eq!(read(6, Found::NoneBefore(5), -1), RecordTime::Unread(LEADER_FAILED));
    }

    #[test]
    fn an_offset_that_is_missing_or_refused_fails_its_partition_only() {
        let mut offsets = Offsets::from([("a".to_owned(), HashMap::new())]);
        let listed = |partitions: &[(i32, i16, i64)]| Ok(vec![("a".to_owned(), partitions.to_vec())]);
        let start = listed(&[(0, 0, 3), (1, 0, 0), (2, 0, 0), (3, 0, 9)]);
        let end = listed(&[(0, 0, 10), (1, 6, -1), (3, 0, 7), (99, 0, 1)]);
        set_ranges(&mut offsets, &[("a", 0), ("a", 1), ("a", 2), ("a", 3)], start, end);
        let of_topic = &offsets["a"];
        assert_eq!(of_topic[&0].as_ref().unwrap(), &Range { start: 3, end: 10 });
        assert_eq!(of_topic[&1].as_ref().unwrap_err().text, "partition 1: NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(of_topic[&2].as_ref().unwrap_err().text, "partition 2: its offset is missing");
        assert_eq!(of_topic[&3].as_ref().unwrap(), &Range { start: 9, end: 9 });
        assert_eq!(of_topic.len(), 4);
    }
}
