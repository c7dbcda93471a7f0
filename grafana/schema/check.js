// Checks the dashboards against Grafana's types: npm ci && npm run check.
//
// Each dashboard, panel, query, and each panel's options and custom fields, which the dashboard's type does not describe,
// becomes a typed constant in a TypeScript file. The script prints the compiler's errors.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "../dashboards");
const modules = { heatmap: "heatmap", stat: "stat", "state-timeline": "statetimeline", table: "table", timeseries: "timeseries" };

const lines = ["dashboard", "prometheus", ...Object.values(modules)].map(
  (name) => `import * as ${name} from "@grafana/grafana-foundation-sdk/${name}";`,
);
// In JSON, a member of an enum is a string.
lines.push(
  "type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[]",
  "  : T extends object ? { [K in keyof T as Exclude<K, '_implementsDataqueryVariant'>]: Json<T[K]> } : T;",
);
const places = [];
function check(place, type, value) {
  places[lines.length] = place;
  lines.push(`export const value${lines.length}: Json<${type}> = ${JSON.stringify(value)};`);
}

const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
for (const file of files) {
  const board = JSON.parse(readFileSync(join(folder, file), "utf8"));
  check(file, "dashboard.Dashboard", board);
  const panels = board.panels.flatMap((panel) => (panel.type === "row" ? panel.panels : [panel]));
  for (const panel of panels) {
    const place = `${file}: ${panel.title}`;
    const module = modules[panel.type];
    check(place, "dashboard.Panel", panel);
    check(`${place}: options`, `${module}.Options`, panel.options);
    if (panel.fieldConfig.defaults.custom) check(`${place}: custom`, `${module}.FieldConfig`, panel.fieldConfig.defaults.custom);
    for (const target of panel.targets) check(`${place}: ${target.refId}`, "prometheus.Dataquery", target);
  }
}

const name = join(here, "dashboards.ts");
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
host.fileExists = (path) => path === name || onDisk.fileExists(path);
host.getSourceFile = (path, ...rest) =>
  path === name ? ts.createSourceFile(path, lines.join("\n"), ...rest) : onDisk.getSourceFile(path, ...rest);

const faults = ts.getPreEmitDiagnostics(ts.createProgram([name], options, host));
for (const fault of faults) {
  const line = fault.file?.fileName === name ? fault.file.getLineAndCharacterOfPosition(fault.start).line : undefined;
  console.error(`${places[line] ?? "types"}: ${ts.flattenDiagnosticMessageText(fault.messageText, "; ")}`);
}
const checked = places.filter(Boolean).length;
console.log(`${files.length} dashboards, ${checked} objects checked, ${faults.length} faults`);
process.exitCode = faults.length === 0 && checked > 0 ? 0 : 1;
