/** Reads and writes bench/results.json: the recorded rows (`npm run bench -- --record`), and the machine and versions they are from. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = new URL("results.json", import.meta.url);
const json = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

/** @returns {{ date: string, machine: string, versions: Record<string, string>, rows: object[] }} */
export const readResults = () => json("results.json");

/** Replaces the rows of the same cases or, if whole suites were run, all rows of the same suites and number of threads. */
export function record(rows, { whole }) {
  const place = ({ suite, threads, case: title, build }) => (whole ? [suite, threads] : [suite, threads, title, build]).join();
  const renewed = new Set(rows.map(place));
  const kept = existsSync(file) ? readResults().rows.filter((row) => !renewed.has(place(row))) : [];
  const { dependencies } = json("peers/package.json");
  const about = {
    date: rows[0].date,
    machine: rows[0].machine,
    versions: { heed: json("../package.json").version, ...dependencies, node: rows[0].node },
  };
  const lines = [...kept, ...rows].map((row) => `    ${JSON.stringify(row)}`);
  writeFileSync(file, `${JSON.stringify(about, null, 2).slice(0, -2)},\n  "rows": [\n${lines.join(",\n")}\n  ]\n}\n`);
}
