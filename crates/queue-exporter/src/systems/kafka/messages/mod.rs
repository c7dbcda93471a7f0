//! Requests and their responses. Each is written in a version that every broker from Kafka 1.0 to 4 accepts, in which
//! lengths are fixed-size numbers.

mod cluster;
mod groups;
mod offsets;
mod session;

use anyhow::Result;

pub(super) use self::cluster::{Metadata, MetadataRequest, Partition};
pub(super) use self::groups::{
    CommittedOffset, CommittedOffsets, DescribeGroups, DescribedGroup, FindCoordinator, ListGroups, OffsetFetch,
    TopicPartitions,
};
pub(super) use self::offsets::{Fetch, Fetched, ListOffsets, Position, TopicFetch};
pub(super) use self::session::{ApiVersions, SaslAuthenticate, SaslHandshake};
use super::wire::{Reader, Writer};

/// The number and the name of a request, and the versions that are implemented.
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) name: &'static str,
    pub(super) min: i16,
    pub(super) max: i16,
}

/// A request with its response.
pub(super) trait Request: Sync {
    const API: Api;
    /// Whether the beginning of a response that is too large can be read.
    const READS_BEGINNING: bool = false;
    type Response: Send;

    fn write(&self, version: i16, to: &mut Writer);

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Response>;
}

/// Parses a response to each request.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _ = ApiVersions.read(0, &mut Reader(data));
    let _ = SaslHandshake("PLAIN").read(1, &mut Reader(data));
    let _ = SaslAuthenticate(Vec::new()).read(0, &mut Reader(data));
    let _ = MetadataRequest.read(1, &mut Reader(data));
    let _ = FindCoordinator(String::new()).read(0, &mut Reader(data));
    let _ = ListGroups.read(0, &mut Reader(data));
    let _ = DescribeGroups(Vec::new()).read(0, &mut Reader(data));
    let _ = OffsetFetch { group: String::new(), topics: None }.read(2, &mut Reader(data));
    let _ = ListOffsets { position: Position::End, topics: Vec::new() }.read(1, &mut Reader(data));
    for version in Fetch::API.min..=Fetch::API.max {
        let topics = vec![("a".to_owned(), vec![(0, 5)])];
        let _ = Fetch { topics, partition_bytes: 0 }.read(version, &mut Reader(data));
    }
}
