"""Celery tasks that succeed and fail: BROKER; as a program it sends GOOD, BAD and RETRIED tasks to the queue mail."""

import os
import sys
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = "mail"


@app.task(name="good")
def good():
    time.sleep(0.02)


@app.task(name="bad")
def bad():
    raise ValueError("as intended")


@app.task(name="retried", bind=True, max_retries=1, default_retry_delay=0)
def retried(self):
    raise self.retry()


if __name__ == "__main__":
    for name, count in zip(("good", "bad", "retried"), sys.argv[1:]):
        for _ in range(int(count)):
            app.send_task(name)
