// Keeps 20 jobs in the queue "kept" and lets others flow through the queue "flow", until it is killed: PORT.
const { Queue, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const kept = new Queue('kept', { connection });
const flow = new Queue('flow', { connection });
const worker = new Worker('flow', async () => {}, { connection });
for (const client of [kept, flow, worker]) client.on('error', () => {}); // they reconnect automatically

async function main() {
  for (;;) {
    try {
      const missing = 20 - await kept.getWaitingCount();
      if (missing > 0) await kept.addBulk([...Array(missing)].map(() => ({ name: 'job', data: {} })));
      await flow.add('job', {}, { removeOnComplete: 100 });
    } catch (error) { /* Redis is down */ }
    await new Promise((next) => setTimeout(next, 10));
  }
}

main();
