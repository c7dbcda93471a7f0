// Graphile Worker: URL WAITING DELAYED: fails a job, leaves one running, and others waiting and delayed.
const { makeWorkerUtils, run, runOnce } = require("graphile-worker");

const [connectionString, waiting, delayed] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function main() {
  const utils = await makeWorkerUtils({ connectionString });
  await utils.migrate();
  const logger = undefined;
  await utils.addJob("mail", { kind: "bad" }, { maxAttempts: 1 });
  await utils.addJob("mail", { kind: "ok" });
  const mail = async ({ kind }) => {
    if (kind === "bad") throw new Error("bad");
    if (kind === "hang") {
      for (let n = 0; n < waiting; n++) await utils.addJob("mail", { kind: "ok" });
      for (let n = 0; n < delayed; n++) await utils.addJob("mail", { kind: "ok" }, { runAt: new Date(Date.now() + 3600e3) });
      process.exit(0);
    }
  };
  await runOnce({ connectionString, taskList: { mail }, logger });
  await utils.addJob("mail", { kind: "hang" });
  await run({ connectionString, taskList: { mail }, concurrency: 1, logger });
}

main();
