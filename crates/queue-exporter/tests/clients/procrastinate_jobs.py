"""Procrastinate: URL WAITING DELAYED: finishes and fails jobs, is killed in one, and leaves others waiting and delayed."""
import asyncio
import os
import sys

import procrastinate

url, waiting, delayed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))


@app.task(queue="mail", name="job")
async def job(kind):
    if kind == "bad":
        raise ValueError(kind)
    if kind == "killed":
        os._exit(0)


async def work(kinds, create=False):
    async with app.open_async():
        if create:
            await app.schema_manager.apply_schema_async()
        for kind in kinds:
            await job.defer_async(kind=kind)
        await app.run_worker_async(wait=False, install_signal_handlers=False)


def in_child(*arguments):
    child = os.fork()
    if child == 0:
        asyncio.run(work(*arguments))
        os._exit(0)
    os.waitpid(child, 0)


async def leave():
    async with app.open_async():
        for _ in range(waiting):
            await job.defer_async(kind="ok")
        for _ in range(delayed):
            await job.configure(schedule_in={"hours": 1}).defer_async(kind="ok")


in_child(["ok", "bad"], True)
in_child(["killed"])
asyncio.run(leave())
