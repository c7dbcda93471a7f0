"""huey: PORT CLASS WAITING DELAYED: leaves jobs of the queue `mail` waiting and delayed, and prints huey's own counts."""
import sys

import huey

port, name, waiting, delayed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
app = getattr(huey, name)("mail", port=port)


@app.task()
def job():
    return 7


for _ in range(delayed):
    job.schedule(delay=3600)
job()
for _ in range(delayed + 1):
    app.execute(app.dequeue())  # a delayed job goes to the schedule
for _ in range(waiting):
    job()
print(app.pending_count(), app.scheduled_count())
