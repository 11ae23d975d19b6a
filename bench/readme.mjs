/** Writes the tables of README.md and docs/performance.md, between their markers, from results.json: `npm run bench:readme`. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { measure, requirements } from "./requirements.mjs";
import { readResults } from "./results.mjs";
import { format, markdown, suiteTable, timesFaster } from "./table.mjs";

const BEGIN = "<!-- bench:begin -->";
const END = "<!-- bench:end -->";

/** The cases shown in the README. */
const headlines = ["NT 512x512x512", "NT 1x50257x768", "attention forward: GPT-2", "softmax", "LayerNorm", "GELU", "nanogpt-cpu", "Transformer, small", "encoder", "load to first", "wasm, gzipped"];

const about = ({ date, machine, versions: { node, heed, ...peers } }) =>
  `${machine}; Node ${node}; ${date}; \`npm run bench -- --record\` (two threads: \`--threads 2\`). heed ${heed}, compared with ${Object.entries(peers).map(([name, version]) => `${name} ${version}`).join(", ")}.`;

/** For the README: one line per headline case, on one thread. */
export function summary(results) {
  const rows = headlines.flatMap((start) => results.rows.filter(({ threads, case: title }) => threads === 1 && title.startsWith(start))).map(bestOfEachPeer);
  const note = "Higher is better, except for ms and kB. In parentheses: the share of the limit of 128-bit SIMD on one thread, or of memory bandwidth, measured in the same run. onnxruntime-node is native code. For each peer we report its fastest configuration. All rows: [docs/performance.md](docs/performance.md).";
  return `${about(results)}\n${note}\n\n${suiteTable(rows)}`;
}

/** Treats "onnxruntime-web fused" and "… composed" as one peer. */
function bestOfEachPeer(row) {
  const peers = {};
  for (const [name, value] of Object.entries(row.peers)) {
    const peer = name.split(" ")[0];
    if (!(peer in peers) || timesFaster(row, value) < timesFaster(row, peers[peer])) peers[peer] = value;
  }
  return { ...row, peers };
}

/** For docs/performance.md: targets and results, then every row. */
export function report(results) {
  const lines = requirements.flatMap((requirement) =>
    requirement.asked.map((asked, i) => {
      const amount = (value) => (asked.percent ? `${Math.round(100 * value)} %` : `${format(value)} ×`);
      const worst = measure(requirement, asked, results.rows);
      const reached = !worst ? "" : worst.value >= asked.least ? "yes" : `${(100 * (1 - worst.value / asked.least)).toFixed(1)} % below`;
      return [i ? "" : requirement.what, asked.than, amount(asked.least), worst ? amount(worst.value) : "not measured", worst?.row.case ?? "", reached];
    }),
  );
  const table = [["", "compared with", "target, ≥", "measured", "worst case", "reached"], ["---", "---", "--:", "--:", "---", "---"], ...lines];
  return `${about(results)}\n\n${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n\n## Every row\n\n${markdown(results.rows)}`;
}

/** Replaces the text between the markers. */
export function replaced(text, block) {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`expected ${BEGIN} and ${END}`);
  return `${text.slice(0, begin + BEGIN.length)}\n${block}\n${text.slice(end)}`;
}

/** The files with generated parts, and the functions that generate them. */
export const generated = [["../README.md", summary], ["../docs/performance.md", report]];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, write] of generated) {
    const file = new URL(path, import.meta.url);
    if (existsSync(file)) writeFileSync(file, replaced(readFileSync(file, "utf8"), write(readResults())));
  }
}
