//! Reading consumer groups: their coordinators, committed offsets and members.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;

use super::cluster::{Brokers, Cluster, Limits, Node, one};
use super::errors::{check, is_of_the_group};
use super::messages::{
    CommittedOffset, CommittedOffsets, DescribeGroups, DescribedGroup, FindCoordinator, ListGroups, OffsetFetch,
    TopicPartitions,
};
use super::options::GroupFilter;
use crate::queue_system::QueueId;
use crate::read_error::{Reason, read_error, reason};

/// What a group has in one topic.
#[derive(Debug, Default)]
pub(super) struct GroupTopic {
    /// Committed offsets: partition, offset.
    pub(super) committed: Vec<(i32, i64)>,
    /// Members that read the topic.
    pub(super) consumers: Option<u64>,
    /// The error code of a partition.
    pub(super) error: i16,
}

/// Groups with their topics, and the errors of groups that could not be read.
#[derive(Default)]
pub(super) struct Groups {
    groups: BTreeMap<String, BTreeMap<String, GroupTopic>>,
    pub(super) errors: Vec<Error>,
}

/// The protocol of consumers. Clients that only commit offsets have none; Kafka Connect and others have their own.
const CONSUMER: &str = "consumer";

/// The largest number of groups.
const MAX_GROUPS: usize = 50_000;

/// Groups whose requests are sent without waiting in between.
const PIPELINED: usize = 500;

/// Groups in one request for their members, whose subscriptions and assignments are in the response.
const DESCRIBED: usize = 20;

/// Partitions in requests that are sent without waiting in between.
const REQUESTED: usize = 1_000_000;

/// Reads the groups of a cluster.
pub(super) struct GroupReader<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) filter: &'a GroupFilter,
    /// Whether a broker has returned committed offsets of partitions that were not requested, as Kafka does.
    pub(super) lists_offsets: &'a AtomicBool,
}

impl GroupReader<'_> {
    /// The groups that the filter accepts, with their topics.
    pub(super) async fn read_groups(
        &self,
        brokers: &Brokers,
        topics: &Arc<[TopicPartitions]>,
        limits: Limits<'_>,
    ) -> Groups {
        let mut groups = Groups::default();
        let coordinators = self.coordinators(brokers, limits, &mut groups.errors).await;
        let reads = coordinators.iter().filter_map(|(id, names)| Some((brokers.get(id)?, names)));
        let reads = reads.map(|(node, names)| self.read_coordinator(node, names, topics, limits));
        for read in join_all(reads).await {
            groups.groups.extend(read.groups);
            groups.errors.extend(read.errors);
        }
        groups
    }

    /// The groups that one broker coordinates.
    async fn read_coordinator(
        &self,
        node: &Node,
        names: &[String],
        topics: &Arc<[TopicPartitions]>,
        limits: Limits<'_>,
    ) -> Groups {
        let mut groups = Groups::default();
        let offsets_limits = Limits { until: limits.next_step(), ..limits };
        let mut must_request = false;
        for names in names.chunks(PIPELINED) {
            match self.committed(node, names, topics, &mut must_request, offsets_limits).await {
                Ok(offsets) => names.iter().zip(offsets).for_each(|(name, offsets)| groups.add_offsets(name, offsets)),
                Err(error) => {
                    groups.errors.push(error.context("cannot read the committed offsets of the groups"));
                    break;
                }
            }
        }
        for names in names.chunks(PIPELINED) {
            match self.described(node, names, limits).await {
                Ok(described) => described.into_iter().for_each(|group| groups.add_members(group)),
                Err(error) => {
                    groups.errors.push(error.context("cannot read the members of the groups"));
                    break;
                }
            }
        }
        groups
    }

    /// The groups by the broker that coordinates them.
    async fn coordinators(
        &self,
        brokers: &Brokers,
        limits: Limits<'_>,
        errors: &mut Vec<Error>,
    ) -> BTreeMap<i32, Vec<String>> {
        if !self.filter.names.is_empty() {
            return self.named_coordinators(brokers, limits, errors).await;
        }
        let lists = brokers.iter().map(|(id, node)| async move {
            let listed = self.cluster.call(node, &[ListGroups], limits).await.and_then(one);
            (*id, listed.and_then(|(error, groups)| check(error).map(|()| groups)))
        });
        let mut coordinators = BTreeMap::<i32, Vec<String>>::new();
        let mut seen = HashSet::new();
        for (id, listed) in join_all(lists).await {
            let listed = listed.context("cannot list the groups");
            for (group, protocol) in listed.map_err(|error| errors.push(error)).unwrap_or_default() {
                let is_consumer = protocol.is_empty() || protocol == CONSUMER;
                if is_consumer && self.filter.accepts(&group) && seen.insert(group.clone()) {
                    if seen.len() > MAX_GROUPS {
                        let text = format!("more than {MAX_GROUPS} groups: set ?include-group=… or ?exclude-group=…");
                        errors.push(read_error(Reason::Partial, text));
                        return coordinators;
                    }
                    coordinators.entry(id).or_default().push(group);
                }
            }
        }
        coordinators
    }

    /// The same for the groups in the URL.
    async fn named_coordinators(
        &self,
        brokers: &Brokers,
        limits: Limits<'_>,
        errors: &mut Vec<Error>,
    ) -> BTreeMap<i32, Vec<String>> {
        let mut coordinators = BTreeMap::<i32, Vec<String>>::new();
        let names: Vec<_> = self.filter.names.iter().filter(|group| self.filter.accepts(group)).cloned().collect();
        let requests: Vec<_> = names.iter().cloned().map(FindCoordinator).collect();
        let mut found = Err(anyhow::anyhow!("no broker"));
        for node in brokers.values() {
            found = self.cluster.call(node, &requests, limits).await;
            if found.is_ok() {
                break;
            }
        }
        let found = found.context("cannot find the coordinators of the groups").map_err(|error| errors.push(error));
        for (group, found) in names.into_iter().zip(found.unwrap_or_default()) {
            let coordinator = found.and_then(|(error, id)| {
                check(error)?;
                brokers.contains_key(&id).then_some(id).context("the coordinator is not in the metadata")
            });
            match coordinator {
                Ok(id) => coordinators.entry(id).or_default().push(group),
                Err(error) => errors.push(error.context(format!("cannot find the coordinator of group {group:?}"))),
            }
        }
        coordinators
    }

    /// The committed offsets of each group. Some brokers other than Kafka return none, or an error, unless partitions are
    /// requested: then the exporter requests all. `must_request` is set if the broker is one of them.
    async fn committed(
        &self,
        node: &Node,
        groups: &[String],
        topics: &Arc<[TopicPartitions]>,
        must_request: &mut bool,
        limits: Limits<'_>,
    ) -> Result<Vec<Result<CommittedOffsets>>> {
        let fetch = async |topics: Option<&Arc<[TopicPartitions]>>| {
            let partitions: usize = topics.map_or(0, |topics| topics.iter().map(|(_, it)| it.len()).sum());
            let mut offsets = Vec::with_capacity(groups.len());
            for groups in groups.chunks((REQUESTED / partitions.max(1)).max(1)) {
                let request = |group: &String| OffsetFetch { group: group.clone(), topics: topics.cloned() };
                let requests: Vec<_> = groups.iter().map(request).collect();
                offsets.extend(self.cluster.call(node, &requests, limits).await?);
            }
            Ok(offsets)
        };
        if *must_request {
            return fetch(Some(topics)).await;
        }
        let offsets = fetch(None).await;
        if offsets.as_ref().is_ok_and(|offsets| offsets.iter().flatten().any(has_offsets)) {
            self.lists_offsets.store(true, Ordering::Relaxed);
        }
        let is_complete = match &offsets {
            _ if self.lists_offsets.load(Ordering::Relaxed) => true,
            Ok(offsets) => offsets.iter().any(is_answer),
            Err(error) => reason(error) != Reason::Connect,
        };
        if is_complete {
            return offsets;
        }
        match fetch(Some(topics)).await {
            Ok(requested) if requested.iter().any(is_answer) => {
                *must_request = true;
                Ok(requested)
            }
            // no group has committed offsets
            Ok(requested) if requested.iter().all(Result::is_ok) => Ok(requested),
            _ => offsets,
        }
    }

    /// The members of these groups, unless the broker cannot list them.
    async fn described(&self, node: &Node, groups: &[String], limits: Limits<'_>) -> Result<Vec<DescribedGroup>> {
        if !self.cluster.supports::<DescribeGroups>(node).await {
            return Ok(Vec::new());
        }
        let requests: Vec<_> = groups.chunks(DESCRIBED).map(|groups| DescribeGroups(groups.to_vec())).collect();
        let responses = self.cluster.call(node, &requests, limits).await?.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(requested(groups, responses.into_iter().flatten()))
    }
}

fn has_offsets(offsets: &CommittedOffsets) -> bool {
    let is_committed = |(_, partitions): &(String, Vec<CommittedOffset>)| partitions.iter().any(|it| it.1 >= 0);
    offsets.topics.iter().any(is_committed)
}

/// Whether a broker has returned committed offsets, or the state of the group does not allow it.
fn is_answer(offsets: &Result<CommittedOffsets>) -> bool {
    offsets.as_ref().is_ok_and(|offsets| is_of_the_group(offsets.error) || has_offsets(offsets))
}

/// The groups that were requested, once each.
fn requested(names: &[String], described: impl Iterator<Item = DescribedGroup>) -> Vec<DescribedGroup> {
    let mut by_name: HashMap<_, _> = described.map(|group| (group.name.clone(), group)).collect();
    names.iter().filter_map(|name| by_name.remove(name)).collect()
}

impl Groups {
    /// Topics with their groups, as queues.
    pub(super) fn into_queues(self) -> BTreeMap<QueueId, GroupTopic> {
        let queues = self.groups.into_iter().flat_map(|(scope, topics)| {
            topics.into_iter().map(move |(name, topic)| (QueueId { name, scope: scope.clone() }, topic))
        });
        queues.collect()
    }

    fn add_offsets(&mut self, group: &str, offsets: Result<CommittedOffsets>) {
        let topics = match offsets.and_then(|offsets| check(offsets.error).map(|()| offsets.topics)) {
            Ok(topics) => topics,
            Err(error) => {
                self.errors.push(error.context(format!("cannot read the committed offsets of group {group:?}")));
                return;
            }
        };
        let of_group = self.groups.entry(group.to_owned()).or_default();
        for (name, partitions) in topics {
            let committed: Vec<_> =
                partitions.iter().filter(|it| it.1 >= 0 && it.2 == 0).map(|it| (it.0, it.1)).collect();
            let error = partitions.iter().map(|it| it.2).find(|error| *error != 0).unwrap_or(0);
            if error != 0 || !committed.is_empty() {
                let topic = of_group.entry(name).or_default();
                topic.committed = committed;
                topic.error = error;
            }
        }
    }

    fn add_members(&mut self, group: DescribedGroup) {
        if let Err(error) = check(group.error) {
            self.errors.push(error.context(format!("members of group {:?}", group.name)));
            return;
        }
        let Some(consumers) = consumers(&group) else { return };
        let of_group = self.groups.entry(group.name.clone()).or_default();
        of_group.values_mut().for_each(|topic| topic.consumers = Some(0));
        for (name, count) in consumers {
            of_group.entry(name.to_owned()).or_default().consumers = Some(count);
        }
    }
}

/// The number of members by topic. It is unknown while partitions are assigned, for clients that are not members of the
/// group, and for members of the protocol of Kafka 4, for which brokers report the state `Dead`.
fn consumers(group: &DescribedGroup) -> Option<BTreeMap<&str, u64>> {
    if group.protocol_type != CONSUMER || !matches!(group.state.as_str(), "Stable" | "Empty") {
        return None;
    }
    let mut consumers = BTreeMap::new();
    for topics in &group.members {
        let mut topics: Vec<_> = topics.as_ref()?.iter().map(String::as_str).collect();
        topics.sort_unstable();
        topics.dedup();
        topics.into_iter().for_each(|topic| *consumers.entry(topic).or_default() += 1);
    }
    Some(consumers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: &str, protocol_type: &str, members: &[Option<&[&str]>]) -> DescribedGroup {
        let topics = |topics: &&[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        DescribedGroup {
            error: 0,
            name: "shop".to_owned(),
            state: state.to_owned(),
            protocol_type: protocol_type.to_owned(),
            members: members.iter().map(|member| member.as_ref().map(topics)).collect(),
        }
    }

    #[test]
    fn members_are_counted_by_assigned_topic() {
        let stable = group("Stable", CONSUMER, &[Some(&["a", "b", "a"]), Some(&["a"]), Some(&[])]);
        assert_eq!(consumers(&stable), Some([("a", 2), ("b", 1)].into()));
        assert_eq!(consumers(&group("Empty", CONSUMER, &[])), Some([].into()), "its members have left");
    }

    #[test]
    fn the_number_of_consumers_is_unknown_rather_than_zero() {
        for unknown in [
            group("Empty", "", &[]),
            group("Dead", "", &[]),
            group("Dead", CONSUMER, &[]),
            group("PreparingRebalance", CONSUMER, &[Some(&[])]),
            group("Stable", "connect", &[Some(&["a"])]),
            group("Stable", CONSUMER, &[None]),
        ] {
            assert_eq!(consumers(&unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn groups_that_were_not_requested_are_ignored() {
        let described = [group("Stable", CONSUMER, &[]), group("Empty", CONSUMER, &[])];
        let names = ["bank", "shop"].map(str::to_owned);
        let states: Vec<_> = requested(&names, described.clone().into_iter()).into_iter().map(|it| it.state).collect();
        assert_eq!(states, ["Empty"]);
        assert!(requested(&names[..1], described.into_iter()).is_empty());
    }

    #[test]
    fn a_topic_that_no_member_reads_has_no_consumers() {
        let mut groups = Groups::default();
        let topics = [("a", 7, 0), ("b", 8, 0), ("c", -1, 0), ("d", -1, 29)];
        let topics = topics.map(|(topic, offset, error)| (topic.to_owned(), vec![(0, offset, error)])).to_vec();
        groups.add_offsets("shop", Ok(CommittedOffsets { error: 0, topics }));
        groups.add_members(group("Stable", CONSUMER, &[Some(&["a", "new"])]));
        groups.add_offsets("shop", Ok(CommittedOffsets { error: 16, topics: Vec::new() }));
        assert_eq!(groups.errors.len(), 1);
        let queues = groups.into_queues();
        let read: Vec<_> = queues.iter().map(|(queue, it)| (&*queue.name, it.consumers, it.error)).collect();
        assert_eq!(read, [("a", Some(1), 0), ("b", Some(0), 0), ("d", Some(0), 29), ("new", Some(1), 0)]);
    }
}
