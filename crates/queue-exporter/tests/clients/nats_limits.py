"""Creates a NATS JetStream stream with a limit and seven messages, and a mirror of it: PORT."""

import asyncio
import sys

import nats
from nats.js.api import StreamConfig, StreamSource


async def main():
    client = await nats.connect(f"nats://127.0.0.1:{sys.argv[1]}")
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name="LIMITED", subjects=["limited"], max_msgs=10))
    for _ in range(7):
        await jetstream.publish("limited", b"x")
    await jetstream.add_stream(StreamConfig(name="COPY", mirror=StreamSource(name="LIMITED")))
    await client.drain()


asyncio.run(main())
