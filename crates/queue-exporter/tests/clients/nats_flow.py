"""Keeps 20 messages in a stream on disk and in one in memory, and lets others flow through both, until killed: PORT."""

import asyncio
import sys

import nats
from nats.js.api import StorageType


async def jobs(client, name, storage):
    jetstream = client.jetstream(timeout=1)
    await jetstream.add_stream(name=name, subjects=[f"{name}.*"], storage=storage)
    consumer = await jetstream.pull_subscribe(f"{name}.*", durable="worker")
    info = await jetstream.consumer_info(name, "worker")
    for _ in range(20 - info.num_pending):
        await jetstream.publish(f"{name}.new", b"x")
    while True:
        await jetstream.publish(f"{name}.new", b"x")
        for message in await consumer.fetch(1, timeout=1):
            await message.ack_sync(timeout=1)
        await asyncio.sleep(0.01)


async def flow(client, name, storage):
    while True:
        try:
            await jobs(client, name, storage)
        except Exception:  # the server is down, or has lost what was in memory
            await asyncio.sleep(0.05)


async def silent(_):
    pass


async def main():
    client = await nats.connect(
        f"nats://127.0.0.1:{sys.argv[1]}", max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=silent
    )
    await asyncio.gather(flow(client, "DISK", StorageType.FILE), flow(client, "MEMORY", StorageType.MEMORY))


asyncio.run(main())
