// BullMQ's queues with options: PORT COMMAND QUEUE NUMBER.
// "cap" limits the events of a queue; "steady" adds jobs in steps and processes them; "options" adds jobs that are
// delayed and promoted, last-in-first-out, or duplicates. Times in the past are written into the jobs.
const { Queue, Worker } = require('bullmq');
const IORedis = require('ioredis');

async function main() {
  const [port, command, name, number] = process.argv.slice(2);
  const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
  const queue = (name) => new Queue(name, { connection });
  const count = Number(number);
  if (command === 'cap') {
    await new Queue(name, { connection, streams: { events: { maxLen: count } } }).waitUntilReady();
  } else if (command === 'steady') {
    let finished = 0;
    const worker = new Worker(name, async () => {}, { connection, concurrency: 20 });
    worker.on('completed', () => { finished += 1; });
    const jobs = new Queue(name, { connection, streams: { events: { maxLen: 100 } } });
    for (let sent = 0; sent < count; sent += 5) {
      await jobs.addBulk([...Array(5)].map(() => ({ name: 'job', data: {} })));
      await new Promise((next) => setTimeout(next, 100));
    }
    while (finished < count) await new Promise((next) => setTimeout(next, 20));
    await worker.close();
  } else {
    const redis = new IORedis(connection);
    const hour = 3600000;
    const age = (queue, job, by) => redis.hset(`bull:${queue}:${job.id}`, 'timestamp', Date.now() - by);
    const delayed = await queue('promoted').add('job', {}, { delay: 2 * hour });
    await age('promoted', delayed, 2 * hour + 5000);
    await delayed.promote();
    for (const by of [hour, 0.5 * hour, 0]) {
      await age('lifo', await queue('lifo').add('job', {}, { lifo: true }), by);
    }
    for (let n = 0; n < 7; n += 1) await queue('duplicates').add('job', {}, { jobId: 'one' });
  }
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
