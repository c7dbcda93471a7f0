// Produces and consumes with BullMQ: PORT QUEUE DONE FAILED LEFT [metrics]. DONE jobs succeed and FAILED jobs fail
// (the first of them only after a second attempt), then LEFT more are added and one that is delayed. With CLUSTER set
// PORT is the port of a node of a cluster; PREFIX is the prefix of the queue's keys.
const { Queue, Worker } = require('bullmq');
const { Cluster } = require('ioredis');

async function main() {
  const [port, name, done, failed, left, metrics] = process.argv.slice(2);
  const node = { host: '127.0.0.1', port: Number(port) };
  const connection = process.env.CLUSTER
    ? new Cluster([node], { redisOptions: { maxRetriesPerRequest: null } })
    : { ...node, maxRetriesPerRequest: null };
  const common = { connection, prefix: process.env.PREFIX || 'bull' };
  const queue = new Queue(name, common);
  const add = (count, data, opts) => Promise.all([...Array(Number(count))].map(() => queue.add('job', data, opts)));
  await add(done, { fail: false });
  await add(failed, { fail: true }, { attempts: 2 });
  const options = metrics ? { ...common, metrics: { maxDataPoints: 60 } } : common;
  let ended = 0;
  await new Promise((resolve) => {
    const worker = new Worker(name, async (job) => {
      await new Promise((next) => setTimeout(next, 20));
      if (job.data.fail) throw new Error('as requested');
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
