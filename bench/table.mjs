/** Formats rows: one line per row as it arrives, or Markdown tables. */

const percent = (share) => `${Math.round(100 * share)} %`;
/** The speedup of a row over `peer`, a value in the same unit. */
export const timesFaster = (row, peer) => (isDuration(row.unit) ? peer / row.value : row.value / peer);
const isDuration = (unit) => unit === "ms" || unit.startsWith("kB");
export const shareOfLimit = ({ unit, value, limit }) => (isDuration(unit) ? limit / value : value / limit);
export const format = (value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));

/** One row as text. */
export function line(row) {
  const limit = row.limit ? `limit ${format(row.limit).padStart(5)} (${percent(shareOfLimit(row))})` : "";
  const alone = row.alone ? `one thread ${format(row.alone)} (${timesFaster(row, row.alone).toFixed(2)} ×)  ` : "";
  const peers = Object.entries(row.peers).map(([name, value]) => `${name.replace("onnxruntime", "ort")} ${format(value)} (${timesFaster(row, value).toFixed(2)} ×)`);
  const cells = [row.case.padEnd(46), row.build.padEnd(7), `${format(row.value).padStart(7)} ${row.unit.padEnd(10)}`, `±${percent(row.spread / 2)}`.padEnd(6), limit.padEnd(20)];
  return `${cells.join("  ")}  ${alone}${peers.join(", ")}`.trimEnd();
}

/** Markdown tables, one per suite with one line per case: heed's builds next to each other, then the peers. */
export function markdown(rows) {
  const suites = groupBy(rows, ({ suite, threads }) => (threads > 1 ? `${suite}, ${threads} threads` : suite));
  return [...suites].map(([title, rows]) => `**${title}**\n\n${suiteTable(rows)}`).join("\n\n");
}

/** The table of one suite. */
export function suiteTable(rows) {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const builds = [...new Set(rows.map(({ build }) => build))];
  const lines = [...groupBy(rows, (row) => row.case)].map(([title, [first, ...others]]) => {
    const heed = builds.map((build) => [first, ...others].find((row) => row.build === build)).map((row) => (row ? `${format(row.value)}${row.limit ? ` (${percent(shareOfLimit(row))})` : ""}` : ""));
    return [title, first.unit, ...heed, first.limit ? format(first.limit) : "", ...peers.map((name) => (name in first.peers ? format(first.peers[name]) : ""))];
  });
  const header = ["", "", ...builds.map((build) => `heed, ${build}`), "limit", ...peers];
  const rule = header.map((_, i) => (i < 2 ? "---" : "--:"));
  return [header, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Map.groupBy, which Node 20 lacks. */
function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}
