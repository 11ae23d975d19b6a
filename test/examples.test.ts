import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "./cli/command";

const { path } = temporaryFolder();
const folder = fileURLToPath(new URL("../examples", import.meta.url));

/** The arguments and output of each example. Examples import the package by its name, from dist/, as users do. */
const examples: Record<string, { args?: string[]; prints: RegExp }> = {
  "checkpoint.mjs": { args: [path("hello")], prints: /^trained for 150 steps\n(hello, world; hello, w?)\n\1\n$/ },
  "dates.mjs": { prints: /\n800 0\.\d+\n2019-03-03\n$/ },
  "decoding.mjs": { prints: /^trained for 250 steps\nParis\. \(stop after \d+ tokens\)\nMadrid\. true\n.+ (true|false)\ntrue\nPeru\? Lima\.\n8\n$/ },
  "gpt.mjs": { args: [fileURLToPath(new URL("../LICENSE", import.meta.url)), "200"], prints: /^step 100: loss \d\.\d{3}\nstep 200: loss \d\.\d{3}\n[^]{101}\n$/u },
  "progress.mjs": { args: ["40"], prints: /█{20} 40\/40 loss \d\.\d{3}\nvalidation after step 40: (\d\.\d{3}), the best so far\nall steps are done; the best loss was \1, after step 40\n$/ },
  "session.mjs": { prints: /^trained for 250 steps\nFrance\? Paris\.\nNorway\? Oslo\.\nJapan\? Tokyo\.\nItaly\? Rome\. \/ Peru\? Lima\.\n(\d+) tokens in the one, (\d+) in the other\n$/ },
};

describe("examples/", () => {
  it("are all tested", () => expect(readdirSync(folder).sort()).toEqual(Object.keys(examples)));

  it.each(Object.entries(examples))("%s runs and prints the expected output", (name, { args = [], prints }) => {
    expect(execFileSync(process.execPath, [`${folder}/${name}`, ...args], { encoding: "utf8" })).toMatch(prints);
  });
});
