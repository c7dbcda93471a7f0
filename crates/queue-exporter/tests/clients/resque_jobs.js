// node-resque, which has Resque's keys: PORT DONE FAILED WAITING: finishes and fails jobs, and leaves others waiting.
const { Queue, Worker } = require("node-resque");

const [port, done, failed, waiting] = process.argv.slice(2).map(Number);
const connection = { pkg: "ioredis", host: "127.0.0.1", port, namespace: "resque", options: { maxRetriesPerRequest: null } };
const jobs = {
  ok: { perform: async () => 7 },
  bad: {
    perform: async () => {
      throw new Error("bad");
    },
  },
};

async function main() {
  const queue = new Queue({ connection }, jobs);
  await queue.connect();
  for (let n = 0; n < done; n++) await queue.enqueue("mail", "ok", []);
  for (let n = 0; n < failed; n++) await queue.enqueue("mail", "bad", []);
  const worker = new Worker({ connection, queues: ["mail"], timeout: 20 }, jobs);
  let finished = 0;
  const all = new Promise((resolve) => {
    const count = () => ++finished === done + failed && resolve();
    worker.on("success", count).on("failure", count);
  });
  await worker.connect();
  worker.start();
  await all;
  await worker.end();
  for (let n = 0; n < waiting; n++) await queue.enqueue("mail", "ok", []);
  await queue.enqueue("orders", "ok", []);
  await queue.end();
}

main();
