//! Brokers of a fake Kafka cluster, whose messages are read and written by another implementation of the protocol.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, DescribeGroupsRequest, DescribeGroupsResponse, FetchRequest, FetchResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListGroupsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataResponse, OffsetFetchRequest, OffsetFetchResponse, RequestHeader, TopicName,
    api_versions_response::ApiVersion,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
    fetch_response::{FetchableTopicResponse, PartitionData},
    list_groups_response::ListedGroup,
    list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic},
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

/// The content of the cluster.
#[derive(Clone, Default)]
pub(crate) struct Content {
    pub(crate) topics: Vec<(String, Vec<Partition>)>,
    pub(crate) groups: Vec<Group>,
}

#[derive(Clone, Copy)]
pub(crate) struct Partition {
    /// The id of a broker, from 0; -1 for none.
    pub(crate) leader: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) replicas: i32,
    pub(crate) in_sync: i32,
    /// The size of each record's value.
    pub(crate) value_size: usize,
    /// The offset of a marker of a transaction, after which a segment of the log ends.
    pub(crate) marker: Option<i64>,
}

#[derive(Clone, Default)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) coordinator: i32,
    pub(crate) state: &'static str,
    /// Topic, partition, offset.
    pub(crate) committed: Vec<(String, i32, i64)>,
    /// The assigned topics of each member.
    pub(crate) members: Vec<Vec<String>>,
}

/// What a broker does with a request.
#[derive(Clone)]
pub(crate) enum Behavior {
    Respond,
    /// A response with this content.
    Send(Vec<u8>),
    /// Bytes without a frame, then the connection is closed.
    Raw(Vec<u8>),
    Hang,
    Close,
}

/// The milliseconds since the Unix epoch of the record at an offset.
pub(crate) fn time_of(offset: i64) -> i64 {
    1_700_000_000_000 + offset * 1000
}

pub(crate) struct FakeKafka {
    pub(crate) url: String,
    pub(crate) content: Arc<Mutex<Content>>,
    addresses: Vec<(String, i32)>,
}

type Decide = dyn Fn(usize, ApiKey) -> Behavior + Send + Sync;

impl FakeKafka {
    /// Brokers on free ports for as long as the test runs. `decide` receives the id of a broker and the request.
    pub(crate) fn start(
        brokers: usize,
        content: Content,
        decide: impl Fn(usize, ApiKey) -> Behavior + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listeners: Vec<_> = (0..brokers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
        let addresses: Vec<_> = ports.map(|port| ("127.0.0.1".to_owned(), i32::from(port))).collect();
        let url = format!("kafka://127.0.0.1:{}", addresses[0].1);
        let fake = Arc::new(Self { url, content: Arc::new(Mutex::new(content)), addresses });
        let decide: Arc<Decide> = Arc::new(decide);
        for (id, listener) in listeners.into_iter().enumerate() {
            let (fake, decide) = (fake.clone(), decide.clone());
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (fake, decide) = (fake.clone(), decide.clone());
                    thread::spawn(move || fake.serve(id, stream, &*decide));
                }
            });
        }
        fake
    }

    fn serve(&self, id: usize, mut stream: TcpStream, decide: &Decide) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request)?;
            let mut request = Bytes::from(request);
            let api = ApiKey::try_from((&request[..2]).get_i16()).unwrap();
            let header = RequestHeader::decode(&mut request, 1).unwrap();
            let body = match decide(id, api) {
                Behavior::Respond => self.respond(id, api, header.request_api_version, &mut request),
                Behavior::Send(body) => body,
                Behavior::Raw(bytes) => return stream.write_all(&bytes),
                Behavior::Hang => return stream.read_to_end(&mut Vec::new()).map(drop),
                Behavior::Close => return Ok(()),
            };
            let mut frame = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
            frame.extend(header.correlation_id.to_be_bytes());
            frame.extend(body);
            stream.write_all(&frame)?;
        }
    }

    fn respond(&self, id: usize, api: ApiKey, version: i16, request: &mut Bytes) -> Vec<u8> {
        let content = self.content.lock().unwrap();
        let mut body = BytesMut::new();
        match api {
            ApiKey::ApiVersions => versions().encode(&mut body, version),
            ApiKey::Metadata => self.metadata(&content).encode(&mut body, version),
            ApiKey::ListGroups => groups(&content, id).encode(&mut body, version),
            ApiKey::FindCoordinator => {
                let request = FindCoordinatorRequest::decode(request, version).unwrap();
                let group = content.groups.iter().find(|group| group.name == request.key.as_str()).unwrap();
                FindCoordinatorResponse::default().with_node_id(group.coordinator.into()).encode(&mut body, version)
            }
            ApiKey::OffsetFetch => {
                committed(&content, &OffsetFetchRequest::decode(request, version).unwrap()).encode(&mut body, version)
            }
            ApiKey::DescribeGroups => {
                members(&content, &DescribeGroupsRequest::decode(request, version).unwrap()).encode(&mut body, version)
            }
            ApiKey::ListOffsets => {
                offsets(&content, id, &ListOffsetsRequest::decode(request, version).unwrap()).encode(&mut body, version)
            }
            ApiKey::Fetch => {
                records(&content, id, &FetchRequest::decode(request, version).unwrap()).encode(&mut body, version)
            }
            api => panic!("unexpected request {api:?}"),
        }
        .unwrap();
        body.to_vec()
    }

    fn metadata(&self, content: &Content) -> MetadataResponse {
        let broker = |(id, (host, port)): (usize, &(String, i32))| {
            let id = BrokerId(i32::try_from(id).unwrap());
            MetadataResponseBroker::default().with_node_id(id).with_host(text(host)).with_port(*port)
        };
        let partition = |(index, it): (i32, &Partition)| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(if it.leader < 0 { 5 } else { 0 })
                .with_leader_id(it.leader.into())
                .with_replica_nodes((0..it.replicas).map(BrokerId).collect())
                .with_isr_nodes((0..it.in_sync).map(BrokerId).collect())
        };
        let topic = |(name, partitions): &(String, Vec<Partition>)| {
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(text(name))))
                .with_is_internal(name.starts_with("__"))
                .with_partitions((0..).zip(partitions).map(partition).collect())
        };
        MetadataResponse::default()
            .with_brokers(self.addresses.iter().enumerate().map(broker).collect())
            .with_topics(content.topics.iter().map(topic).collect())
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The versions of Kafka 4.
fn versions() -> ApiVersionsResponse {
    let ranges = [(1, 4, 18), (2, 1, 11), (3, 0, 13), (9, 1, 10), (10, 0, 6), (15, 0, 6), (16, 0, 5), (18, 0, 4)];
    let range = |(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
    ApiVersionsResponse::default().with_api_keys(ranges.map(range).to_vec())
}

fn groups(content: &Content, id: usize) -> ListGroupsResponse {
    let here = content.groups.iter().filter(|group| usize::try_from(group.coordinator) == Ok(id));
    let listed = here.map(|group| {
        let name = GroupId(text(&group.name));
        ListedGroup::default().with_group_id(name).with_protocol_type(text("consumer"))
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}

fn committed(content: &Content, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    assert!(request.topics.is_none(), "Kafka lists the partitions");
    let group = content.groups.iter().find(|group| group.name == request.group_id.as_str()).unwrap();
    let mut topics = Vec::<OffsetFetchResponseTopic>::new();
    for (name, index, offset) in &group.committed {
        let partition =
            OffsetFetchResponsePartition::default().with_partition_index(*index).with_committed_offset(*offset);
        let name = TopicName(text(name));
        match topics.last_mut().filter(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(OffsetFetchResponseTopic::default().with_name(name).with_partitions(vec![partition])),
        }
    }
    OffsetFetchResponse::default().with_topics(topics)
}

fn members(content: &Content, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let described = request.groups.iter().map(|name| {
        let group = content.groups.iter().find(|group| group.name == name.as_str()).unwrap();
        let member = |topics: &Vec<String>| {
            let mut assignment = vec![0, 0];
            assignment.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
            for topic in topics {
                assignment.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
                assignment.extend(topic.as_bytes());
                assignment.extend([0, 0, 0, 1, 0, 0, 0, 0]); // partition 0
            }
            DescribedGroupMember::default().with_member_assignment(assignment.into())
        };
        DescribedGroup::default()
            .with_group_id(name.clone())
            .with_group_state(text(group.state))
            .with_protocol_type(text("consumer"))
            .with_members(group.members.iter().map(member).collect())
    });
    DescribeGroupsResponse::default().with_groups(described.collect())
}

/// A partition, or the error code if this broker does not lead it.
fn led<'a>(content: &'a Content, id: usize, topic: &str, index: i32) -> Result<&'a Partition, i16> {
    let (_, partitions) = content.topics.iter().find(|(name, _)| name == topic).ok_or(3_i16)?;
    let partition = partitions.get(usize::try_from(index).unwrap()).ok_or(3_i16)?;
    if usize::try_from(partition.leader) == Ok(id) { Ok(partition) } else { Err(6) }
}

fn offsets(content: &Content, id: usize, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|it| {
            let partition = led(content, id, topic.name.as_str(), it.partition_index);
            let offset = partition.map(|partition| if it.timestamp == -2 { partition.start } else { partition.end });
            ListOffsetsPartitionResponse::default()
                .with_partition_index(it.partition_index)
                .with_error_code(offset.err().unwrap_or(0))
                .with_offset(offset.unwrap_or(-1))
        });
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// As Kafka does, sends the first batch of the response whatever its size, and no others that are incomplete.
fn records(content: &Content, id: usize, request: &FetchRequest) -> FetchResponse {
    let mut is_first = true;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|it| {
            let partition = led(content, id, topic.topic.as_str(), it.partition);
            let is_inside = |partition: &Partition| (partition.start..partition.end).contains(&it.fetch_offset);
            let error = partition.map(|partition| if is_inside(partition) { 0 } else { 1 });
            let mut records = Bytes::new();
            if let Some(partition) = partition.ok().filter(|_| error == Ok(0)) {
                let batch = batch(it.fetch_offset, partition);
                if std::mem::take(&mut is_first) || batch.len() <= usize::try_from(it.partition_max_bytes).unwrap() {
                    records = batch;
                }
            }
            PartitionData::default()
                .with_partition_index(it.partition)
                .with_error_code(error.unwrap_or_else(|error| error))
                .with_high_watermark(partition.map_or(-1, |partition| partition.end))
                .with_records(Some(records))
        });
        FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_partitions(partitions.collect())
    });
    FetchResponse::default().with_responses(topics.collect())
}

/// A marker at the offset, or a batch of two records that ends there.
fn batch(offset: i64, partition: &Partition) -> Bytes {
    let is_marker = partition.marker == Some(offset);
    let record = |offset| Record {
        transactional: is_marker,
        control: is_marker,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).unwrap(),
        timestamp: time_of(offset),
        key: None,
        value: Some(vec![0; if is_marker { 6 } else { partition.value_size }].into()),
        headers: Default::default(),
    };
    let records = [record(offset - 1), record(offset)];
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, &records, &options).unwrap();
    batch.freeze()
}
