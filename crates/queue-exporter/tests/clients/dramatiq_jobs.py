"""dramatiq: PORT DONE FAILED WAITING DELAYED: finishes and fails jobs, is killed in one, and leaves others."""
import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

port, done, failed, waiting, delayed = map(int, sys.argv[1:6])


def declare():
    broker = RedisBroker(url=f"redis://127.0.0.1:{port}")
    dramatiq.set_broker(broker)

    @dramatiq.actor(queue_name="mail", max_retries=0)
    def job(kind):
        if kind == "killed":
            os._exit(0)
        if kind == "bad":
            raise ValueError(kind)

    return broker, job


def work(kinds):
    child = os.fork()
    if child == 0:
        broker, job = declare()
        for kind in kinds:
            job.send(kind)
        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=50)
        worker.start()
        broker.join("mail")
        worker.stop()
        os._exit(0)
    os.waitpid(child, 0)


work(["ok"] * done + ["bad"] * failed)
work(["killed"])
broker, job = declare()
for _ in range(waiting):
    job.send("ok")
for _ in range(delayed):
    job.send_with_options(args=("ok",), delay=3_600_000)
