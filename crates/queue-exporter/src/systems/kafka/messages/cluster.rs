//! The brokers, topics and partitions of a cluster.

use anyhow::{Result, ensure};

use super::{Api, Request};
use crate::systems::kafka::wire::{Reader, Writer};

/// All topics that the user may describe.
pub(in crate::systems::kafka) struct MetadataRequest;

#[derive(Debug)]
pub(in crate::systems::kafka) struct Metadata {
    pub(in crate::systems::kafka) brokers: Vec<Broker>,
    pub(in crate::systems::kafka) topics: Vec<Topic>,
}

#[derive(Debug)]
pub(in crate::systems::kafka) struct Broker {
    pub(in crate::systems::kafka) id: i32,
    pub(in crate::systems::kafka) host: String,
    pub(in crate::systems::kafka) port: u16,
}

#[derive(Debug)]
pub(in crate::systems::kafka) struct Topic {
    pub(in crate::systems::kafka) error: i16,
    pub(in crate::systems::kafka) name: String,
    pub(in crate::systems::kafka) is_internal: bool,
    pub(in crate::systems::kafka) partitions: Vec<Partition>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::systems::kafka) struct Partition {
    pub(in crate::systems::kafka) index: i32,
    /// Negative without a leader.
    pub(in crate::systems::kafka) leader: i32,
    pub(in crate::systems::kafka) replicas: u32,
    pub(in crate::systems::kafka) in_sync: u32,
}

/// The largest number of partitions that a cluster of Kafka supports.
const MAX_PARTITIONS: usize = 200_000;

impl Request for MetadataRequest {
    const API: Api = Api { key: 3, name: "Metadata", min: 1, max: 1 };
    type Response = Metadata;

    fn write(&self, _: i16, to: &mut Writer) {
        to.null();
    }

    fn read(&self, _: i16, from: &mut Reader<'_>) -> Result<Metadata> {
        let brokers = from.array(|from| {
            let broker = Broker { id: from.i32()?, host: from.name()?, port: u16::try_from(from.i32()?)? };
            let _rack = from.string()?;
            Ok(broker)
        })?;
        let _controller = from.i32()?;
        let mut partition_count = 0;
        let topics = from.array(|from| {
            let (error, name, is_internal) = (from.i16()?, from.name()?, from.i8()? != 0);
            let partitions = from.array(partition)?;
            partition_count += partitions.len();
            ensure!(partition_count <= MAX_PARTITIONS, "more than {MAX_PARTITIONS} partitions");
            Ok(Topic { error, name, is_internal, partitions })
        })?;
        Ok(Metadata { brokers, topics })
    }
}

fn partition(from: &mut Reader<'_>) -> Result<Partition> {
    let _error = from.i16()?; // the leader is missing then
    let (index, leader) = (from.i32()?, from.i32()?);
    let mut count = || Ok::<_, anyhow::Error>(u32::try_from(from.array(Reader::i32)?.len())?);
    Ok(Partition { index, leader, replicas: count()?, in_sync: count()? })
}
