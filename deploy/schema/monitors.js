// Checks the objects of the Prometheus Operator, from Kustomize and from the Helm chart, against its types: values with its
// validators, which accept unknown keys, and keys with TypeScript, which rejects them: node monitors.js FILE, where FILE has the
// objects of the chart (deploy/helm/check.py).

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as models from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import ts from "typescript";
import { parseAllDocuments } from "yaml";

const here = dirname(fileURLToPath(import.meta.url));
const overlay = join(here, "../kubernetes/overlays/operator");
const rendered = execFileSync("kubectl", ["kustomize", overlay], { encoding: "utf8" });
const objects = parseAllDocuments(rendered)
  .map((document) => document.toJS())
  .filter((object) => object.apiVersion.startsWith("monitoring.coreos.com/"))
  .concat(JSON.parse(readFileSync(process.argv[2], "utf8")));

/** What is wrong with an object, in lines. */
function faults(object) {
  const found = [];
  try {
    new models[object.kind](object).validate();
  } catch (error) {
    found.push(error.message);
  }
  const file = join(here, "object.ts");
  const text =
    `import type { I${object.kind} } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";\n` +
    `export const object: I${object.kind} = ${JSON.stringify(object)};\n`;
  const options = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const onDisk = { fileExists: host.fileExists, getSourceFile: host.getSourceFile };
  host.fileExists = (path) => path === file || onDisk.fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === file ? ts.createSourceFile(path, text, ...rest) : onDisk.getSourceFile(path, ...rest);
  for (const fault of ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))) {
    found.push(ts.flattenDiagnosticMessageText(fault.messageText, "; "));
  }
  return found;
}

let bad = 0;
for (const object of objects) {
  for (const fault of faults(object)) {
    bad += 1;
    console.error(`${object.kind} ${object.metadata.name}: ${fault}`);
  }
}

// Proves that the check finds errors: an unknown key and an invalid duration.
const [monitor] = objects.filter((object) => object.kind === "PodMonitor");
for (const wrong of [{ intervall: "15s" }, { interval: "soon" }]) {
  const copy = structuredClone(monitor);
  Object.assign(copy.spec.podMetricsEndpoints[0], wrong);
  if (faults(copy).length === 0) {
    bad += 1;
    console.error(`not found: ${JSON.stringify(wrong)}`);
  }
}
console.log(`${objects.length} objects of the operator, ${bad} faults`);
process.exitCode = bad === 0 && objects.length > 0 ? 0 : 1;
