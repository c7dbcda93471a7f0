//! The offsets of partitions, and records at an offset.

use anyhow::Result;

use super::{Api, Request, TopicPartitions};
use crate::systems::kafka::errors::check;
use crate::systems::kafka::records::{Found, find_record};
use crate::systems::kafka::wire::{Reader, Writer};

/// A position in the log of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::systems::kafka) enum Position {
    /// The offset of the oldest record.
    Start = -2,
    /// The offset of the next record.
    End = -1,
}

/// The offsets of one position in partitions that one broker leads.
pub(in crate::systems::kafka) struct ListOffsets {
    pub(in crate::systems::kafka) position: Position,
    pub(in crate::systems::kafka) topics: Vec<TopicPartitions>,
}

/// The replica id of clients that are not brokers.
const CONSUMER: i32 = -1;

impl Request for ListOffsets {
    const API: Api = Api { key: 2, name: "ListOffsets", min: 1, max: 1 };
    /// Topics with partitions: index, error code, offset.
    type Response = Vec<(String, Vec<(i32, i16, i64)>)>;

    fn write(&self, _: i16, to: &mut Writer) {
        to.i32(CONSUMER);
        to.array(&self.topics, |to, (topic, partitions)| {
            to.string(topic);
            to.array(partitions, |to, partition| {
                to.i32(*partition);
                to.i64(self.position as i64);
            });
        });
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<Self::Response> {
        from.array(|from| {
            let name = from.name()?;
            let partitions = from.array(|from| {
                let (index, error, _time) = (from.i32()?, from.i16()?, from.i64()?);
                Ok((index, error, from.i64()?))
            })?;
            Ok((name, partitions))
        })
    }
}

/// A topic with partitions and offsets.
pub(in crate::systems::kafka) type TopicFetch = (String, Vec<(i32, i64)>);

/// The times of the first records at offsets of partitions that one broker leads. Each partition occurs once.
pub(in crate::systems::kafka) struct Fetch {
    pub(in crate::systems::kafka) topics: Vec<TopicFetch>,
    /// The size of records of each partition. A broker sends complete batches only: of the first partition that has
    /// records, at least one batch whatever its size; of the others, none if the first one does not fit.
    pub(in crate::systems::kafka) partition_bytes: i32,
}

/// The result for one partition.
pub(in crate::systems::kafka) struct Fetched {
    pub(in crate::systems::kafka) index: i32,
    pub(in crate::systems::kafka) error: i16,
    /// The offset after the last record that consumers may read.
    pub(in crate::systems::kafka) end: i64,
    /// `None` if the partition was not requested.
    pub(in crate::systems::kafka) found: Option<Found>,
}

/// The size of all records in one response.
const RESPONSE_BYTES: i32 = 4 << 20;

/// How long a broker may wait for records. They exist, but some brokers return none if they may not wait.
const MAX_WAIT_MS: i32 = 100;

impl Request for Fetch {
    /// Before version 10, brokers refuse topics that are compressed with Zstandard.
    const API: Api = Api { key: 1, name: "Fetch", min: 4, max: 11 };
    const READS_BEGINNING: bool = true;
    type Response = Vec<(String, Vec<Fetched>)>;

    fn write(&self, version: i16, to: &mut Writer) {
        to.i32(CONSUMER);
        to.i32(MAX_WAIT_MS);
        to.i32(1); // bytes to wait for
        to.i32(RESPONSE_BYTES);
        to.i8(0); // uncommitted transactions, too: their records are in the log
        if version >= 7 {
            to.i32(0); // no session
            to.i32(-1);
        }
        to.array(&self.topics, |to, (topic, partitions)| {
            to.string(topic);
            to.array(partitions, |to, (partition, offset)| {
                to.i32(*partition);
                if version >= 9 {
                    to.i32(-1); // any leader epoch
                }
                to.i64(*offset);
                if version >= 5 {
                    to.i64(-1); // the log's start, known to brokers only
                }
                to.i32(self.partition_bytes);
            });
        });
        if version >= 7 {
            to.array(&[(); 0], |_, ()| ()); // topics to remove from the session
        }
        if version >= 11 {
            to.string(""); // rack
        }
    }

    fn read(&self, version: i16, from: &mut Reader<'_>) -> Result<Self::Response> {
        let _throttled = from.i32()?;
        if version >= 7 {
            check(from.i16()?)?;
            let _session = from.i32()?;
        }
        let requested = |topic: &str, index: i32| {
            let partitions = self.topics.iter().find(|(name, _)| name == topic).map(|(_, partitions)| partitions)?;
            partitions.iter().find(|(partition, _)| *partition == index).map(|(_, offset)| *offset)
        };
        from.available(|from| {
            let name = from.name()?;
            let partitions = from.available(|from| {
                let (index, error) = (from.i32()?, from.i16()?);
                let (end, _stable) = (from.i64()?, from.i64()?);
                if version >= 5 {
                    let _start = from.i64()?;
                }
                let _aborted = from.array(|from| Ok((from.i64()?, from.i64()?)))?;
                if version >= 11 {
                    let _replica = from.i32()?;
                }
                let records = from.available_bytes()?;
                let found = requested(&name, index).map(|offset| find_record(records, offset));
                Ok(Fetched { index, error, end, found })
            })?;
            Ok((name, partitions))
        })
    }
}
