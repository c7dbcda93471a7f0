// Bull 4: PORT DONE FAILED WAITING DELAYED: finishes and fails jobs, is killed in one, and leaves others.
const Queue = require("bull");

const [port, done, failed, waiting, delayed] = process.argv.slice(2).map(Number);
const queue = new Queue("mail", { redis: { port }, metrics: { maxDataPoints: 10 } });

async function main() {
  let finished = 0;
  const all = new Promise((resolve) => {
    const count = () => ++finished === done + failed && resolve();
    queue.on("completed", count).on("failed", count);
  });
  const started = new Promise((resolve) => queue.on("active", (job) => job.data.kind === "hang" && resolve()));
  queue.process(async (job) => {
    if (job.data.kind === "bad") throw new Error("bad");
    if (job.data.kind === "hang") await new Promise(() => {});
  });
  for (let n = 0; n < done; n++) await queue.add({ kind: "ok" });
  for (let n = 0; n < failed; n++) await queue.add({ kind: "bad" });
  await all;
  await queue.add({ kind: "hang" });
  await started;
  for (let n = 0; n < waiting; n++) await queue.add({ kind: "ok" }, { priority: n % 3 });
  for (let n = 0; n < delayed; n++) await queue.add({ kind: "ok" }, { delay: 3600000 });
  process.exit(0);
}

main();
