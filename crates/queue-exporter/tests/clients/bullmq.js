// Produces and consumes with BullMQ: PORT QUEUE DONE FAILED LEFT [metrics]. DONE jobs end well and FAILED badly
// (the first of them only after a second attempt), then LEFT more are added and one that is delayed.
const { Queue, Worker } = require('bullmq');

async function main() {
  const [port, name, done, failed, left, metrics] = process.argv.slice(2);
  const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
  const queue = new Queue(name, { connection });
  const add = (count, data, opts) => Promise.all([...Array(Number(count))].map(() => queue.add('job', data, opts)));
  await add(done, { fail: false });
  await add(failed, { fail: true }, { attempts: 2 });
  const options = metrics ? { connection, metrics: { maxDataPoints: 60 } } : { connection };
  let ended = 0;
  await new Promise((resolve) => {
    const worker = new Worker(name, async (job) => {
      await new Promise((next) => setTimeout(next, 20));
      if (job.data.fail) throw new Error('as told');
    }, options);
    const end = async (final) => {
      ended += final ? 1 : 0;
      if (ended === Number(done) + Number(failed)) { await worker.close(); resolve(); }
    };
    worker.on('completed', () => end(true));
    worker.on('failed', (job) => end(job.attemptsMade === 2));
  });
  await add(left, { fail: false });
  await queue.add('job', {}, { delay: 3600000 });
  await queue.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
