"""A Celery application: its broker is in the variable BROKER; as a program it sends COUNT jobs of NAME to QUEUE."""

import os
import sys
import time

from celery import Celery

app = Celery("jobs", broker=os.environ["BROKER"])
app.conf.worker_prefetch_multiplier = 1
app.conf.task_acks_late = True
app.conf.broker_connection_retry_on_startup = True
if "SEPARATOR" in os.environ:
    app.conf.broker_transport_options = {"priority_steps": list(range(10)), "sep": os.environ["SEPARATOR"]}


@app.task(name="quick")
def quick():
    pass


@app.task(name="waits")
def waits():
    time.sleep(3600)


if __name__ == "__main__":
    name, queue, count, priority = sys.argv[1:]
    for _ in range(int(count)):
        app.send_task(name, queue=queue, priority=int(priority))
