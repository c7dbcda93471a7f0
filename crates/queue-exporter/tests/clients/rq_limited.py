"""Leaves jobs of RQ 3 that a rate limit holds back, and canceled ones: PORT."""

import sys

from redis import Redis
from rq import Queue
from rq.rate_limit import RateLimit

from rq_jobs import job

connection = Redis(port=int(sys.argv[1]))
mail, orders = Queue("mail", connection=connection), Queue("orders", connection=connection)
# one of each limit may run: it waits in its queue
for _ in range(3):
    mail.enqueue(job, False, rate_limit=RateLimit("mails", 1))
for _ in range(2):
    orders.enqueue(job, False, rate_limit=RateLimit("api", 1))
for _ in range(2):
    mail.enqueue(job, False).cancel()
