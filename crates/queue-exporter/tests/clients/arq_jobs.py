"""arq: PORT DONE WAITING DELAYED: finishes jobs, is killed in one, and leaves others waiting and delayed."""
import asyncio
import os
import sys

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

port, done, waiting, delayed = map(int, sys.argv[1:5])
settings = RedisSettings(port=port)


async def job(ctx):
    pass


async def killed(ctx):
    os._exit(0)


async def add(name, count, **options):
    pool = await create_pool(settings)
    for _ in range(count):
        await pool.enqueue_job(name, **options)
    await pool.aclose()


def work():
    child = os.fork()
    if child == 0:
        asyncio.set_event_loop(asyncio.new_event_loop())
        worker = Worker([job, killed], redis_settings=settings, burst=True, handle_signals=False, poll_delay=0.05)
        worker.run()
        os._exit(0)
    os.waitpid(child, 0)


asyncio.run(add("job", done))
work()
asyncio.run(add("killed", 1))
work()
asyncio.run(add("job", waiting))
asyncio.run(add("job", delayed, _defer_by=3600))
