"""Kafka: BROKERS [KEY=VALUE …]: a client that follows commands on its standard input and responds to each with a line.

BROKERS is `mock:NUMBER` for a mock cluster in this process. The first line printed has the brokers. Commands:
topic NAME PARTITIONS / produce TOPIC PARTITION COUNT MILLISECONDS / batch TOPIC COMPRESSION COUNT MILLISECONDS /
commit GROUP TOPIC PARTITION OFFSET / show GROUP TOPIC PARTITION / consume GROUP TOPIC
"""
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

options = {"log_level": 0} | dict(option.split("=", 1) for option in sys.argv[2:])
if sys.argv[1].startswith("mock:"):
    producer = Producer(options | {"test.mock.num.brokers": int(sys.argv[1][5:])})
    brokers = producer.list_topics(timeout=30).brokers.values()
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
else:
    servers = sys.argv[1]
    producer = Producer(options | {"bootstrap.servers": servers})
    producer.list_topics(timeout=30)
options["bootstrap.servers"] = servers
consumers = {}


def consumer(group):
    settings = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return consumers.setdefault(group, Consumer(options | settings))


def produce(topic, partition, count, milliseconds):
    for n in range(int(count)):
        producer.produce(topic, b"message", partition=int(partition), timestamp=int(milliseconds) + n * 1000)
        assert producer.flush(30) == 0  # one batch for each record


def batch(topic, compression, count, milliseconds):
    sender = Producer(options | {"compression.type": compression, "linger.ms": 500, "message.timeout.ms": 30000})
    errors = []
    for n in range(int(count)):
        sender.produce(
            topic, b"message " * 20, partition=0, timestamp=int(milliseconds) + n * 1000,
            on_delivery=lambda error, _: errors.append(error) if error else None,
        )
    while len(sender):  # flush would send the first records before the others are in the batch
        sender.poll(0.1)
    assert not errors, errors


def commit(group, topic, partition, offset):
    consumer(group).commit(offsets=[TopicPartition(topic, int(partition), int(offset))], asynchronous=False)


def show(group, topic, partition):
    place = TopicPartition(topic, int(partition))
    low, high = consumer(group).get_watermark_offsets(place, timeout=30)
    return consumer(group).committed([place], timeout=30)[0].offset, low, high


def create(topic, partitions):
    admin = AdminClient(options)
    for future in admin.create_topics([NewTopic(topic, int(partitions), 1)]).values():
        future.result(30)


def consume(group, topic):
    consumer(group).subscribe([topic])
    while not consumer(group).consume(1, timeout=1):
        pass


commands = {"topic": create, "produce": produce, "batch": batch, "commit": commit, "show": show, "consume": consume}
print(servers, flush=True)
for line in sys.stdin:
    command, *arguments = line.split()
    print(*(commands[command](*arguments) or ["done"]), flush=True)
