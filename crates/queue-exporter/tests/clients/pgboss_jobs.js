// pg-boss: URL WAITING DELAYED: finishes, fails and cancels a job each, leaves one running, and others waiting and delayed.
const PgBoss = require("pg-boss");

const [url, waiting, delayed] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function main() {
  const boss = new PgBoss(url);
  await boss.start();
  await boss.createQueue("mail");
  await boss.createQueue("empty");
  const take = async (options) => {
    await boss.send("mail", {}, options);
    return (await boss.fetch("mail"))[0].id;
  };
  await boss.complete("mail", await take({}));
  await boss.fail("mail", await take({ retryLimit: 0 }));
  await boss.fail("mail", await take({ retryLimit: 2, retryDelay: 3600 }));
  await boss.cancel("mail", await take({}));
  await take({});
  for (let n = 0; n < waiting; n++) await boss.send("mail", {});
  for (let n = 0; n < delayed; n++) await boss.send("mail", {}, { startAfter: 3600 });
  await boss.stop();
}

main();
