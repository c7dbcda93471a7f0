"""Publishes and consumes with NATS JetStream: PORT PUBLISHED TAKEN ACKNOWLEDGED."""

import asyncio
import sys

import nats
from nats.js.api import RetentionPolicy


async def main():
    port, published, taken, acknowledged = map(int, sys.argv[1:])
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    jetstream = client.jetstream()
    await jetstream.add_stream(name="ORDERS", subjects=["orders.*"])
    # work that has no consumer
    await jetstream.add_stream(name="WORK", subjects=["work"], retention=RetentionPolicy.WORK_QUEUE)
    for _ in range(published):
        await jetstream.publish("orders.new", b"x")
        await jetstream.publish("work", b"x")
    consumer = await jetstream.pull_subscribe("orders.*", durable="billing")
    if taken:
        for message in (await consumer.fetch(taken))[:acknowledged]:
            await message.ack_sync()
    await client.drain()


asyncio.run(main())
