//! Consumer groups: their coordinators, members and committed offsets.

use std::sync::Arc;

use anyhow::Result;

use super::{Api, Request};
use crate::systems::kafka::wire::{Reader, Writer};

/// The coordinator of a group.
pub(in crate::systems::kafka) struct FindCoordinator(pub(in crate::systems::kafka) String);

impl Request for FindCoordinator {
    const API: Api = Api { key: 10, name: "FindCoordinator", min: 0, max: 0 };
    /// An error code, and the id of a broker.
    type Response = (i16, i32);

    fn write(&self, _: i16, to: &mut Writer) {
        to.string(&self.0);
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<(i16, i32)> {
        Ok((from.i16()?, from.i32()?))
    }
}

/// The groups that one broker coordinates.
pub(in crate::systems::kafka) struct ListGroups;

impl Request for ListGroups {
    const API: Api = Api { key: 16, name: "ListGroups", min: 0, max: 0 };
    /// An error code, and groups with their type: `consumer`; empty for clients that only commit offsets.
    type Response = (i16, Vec<(String, String)>);

    fn write(&self, _: i16, _: &mut Writer) {}

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<Self::Response> {
        Ok((from.i16()?, from.array(|from| Ok((from.name()?, from.name()?)))?))
    }
}

/// A topic and some of its partitions.
pub(in crate::systems::kafka) type TopicPartitions = (String, Vec<i32>);

/// The committed offsets of a group: of all its partitions, or of these.
pub(in crate::systems::kafka) struct OffsetFetch {
    pub(in crate::systems::kafka) group: String,
    pub(in crate::systems::kafka) topics: Option<Arc<[TopicPartitions]>>,
}

#[derive(Debug, Default)]
pub(in crate::systems::kafka) struct CommittedOffsets {
    pub(in crate::systems::kafka) error: i16,
    pub(in crate::systems::kafka) topics: Vec<(String, Vec<CommittedOffset>)>,
}

/// The index of a partition, its offset (negative if none was committed), and an error code.
pub(in crate::systems::kafka) type CommittedOffset = (i32, i64, i16);

impl Request for OffsetFetch {
    const API: Api = Api { key: 9, name: "OffsetFetch", min: 2, max: 2 };
    type Response = CommittedOffsets;

    fn write(&self, _: i16, to: &mut Writer) {
        to.string(&self.group);
        match &self.topics {
            None => to.null(),
            Some(topics) => to.array(topics, |to, (topic, partitions)| {
                to.string(topic);
                to.array(partitions, |to, partition| to.i32(*partition));
            }),
        }
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<CommittedOffsets> {
        let topics = from.array(|from| {
            let name = from.name()?;
            let partitions = from.array(|from| {
                let (index, offset) = (from.i32()?, from.i64()?);
                let _metadata = from.string()?;
                Ok((index, offset, from.i16()?))
            })?;
            Ok((name, partitions))
        })?;
        Ok(CommittedOffsets { topics, error: from.i16()? })
    }
}

/// The members of groups.
pub(in crate::systems::kafka) struct DescribeGroups(pub(in crate::systems::kafka) Vec<String>);

#[derive(Clone, Debug)]
pub(in crate::systems::kafka) struct DescribedGroup {
    pub(in crate::systems::kafka) error: i16,
    pub(in crate::systems::kafka) name: String,
    pub(in crate::systems::kafka) state: String,
    pub(in crate::systems::kafka) protocol_type: String,
    /// The assigned topics of each member; `None` if they are not in the format of consumers.
    pub(in crate::systems::kafka) members: Vec<Option<Vec<String>>>,
}

impl Request for DescribeGroups {
    const API: Api = Api { key: 15, name: "DescribeGroups", min: 0, max: 0 };
    type Response = Vec<DescribedGroup>;

    fn write(&self, _: i16, to: &mut Writer) {
        to.array(&self.0, |to, group| to.string(group));
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<Vec<DescribedGroup>> {
        from.array(|from| {
            let (error, name, state, protocol_type) = (from.i16()?, from.name()?, from.name()?, from.name()?);
            let _protocol = from.string()?;
            let members = from.array(|from| {
                let (_id, _client, _host) = (from.string()?, from.string()?, from.string()?);
                let _subscription = from.bytes()?;
                Ok(assigned_topics(from.bytes()?).ok())
            })?;
            Ok(DescribedGroup { error, name, state, protocol_type, members })
        })
    }
}

/// The topics in the assignment of a consumer. Without partitions it has an empty list, or is empty itself.
fn assigned_topics(assignment: &[u8]) -> Result<Vec<String>> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let mut from = Reader(assignment);
    let _version = from.i16()?;
    from.array(|from| {
        let topic = from.name()?;
        let _partitions = from.array(Reader::i32)?;
        Ok(topic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_without_partitions_has_an_empty_assignment() {
        assert_eq!(assigned_topics(&[]).unwrap(), Vec::<String>::new());
        assert_eq!(assigned_topics(&[0, 0, 0, 0, 0, 0]).unwrap(), Vec::<String>::new());
        assert_eq!(assigned_topics(&[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 0]).unwrap(), ["a"]);
        assert!(assigned_topics(&[0]).is_err());
    }
}
