"""Produces and consumes with RQ: PORT DONE FAILED LEFT."""

import sys
from datetime import timedelta

from redis import Redis
from rq import Queue, Worker


def job(fail):
    if fail:
        raise ValueError("as requested")


if __name__ == "__main__":
    port, done, failed, left = map(int, sys.argv[1:])
    connection = Redis(port=port)
    queue = Queue("mail", connection=connection)
    for n in range(done + failed):
        queue.enqueue("rq_jobs.job", n < failed)
    Worker([queue], connection=connection).work(burst=True, logging_level="ERROR")
    for _ in range(left):
        queue.enqueue("rq_jobs.job", False)
    queue.enqueue_in(timedelta(hours=1), "rq_jobs.job", False)
