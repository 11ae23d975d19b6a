import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const generated = ["graph/instructions.ts"];

it.each(["assembly", "host"])("%s/ has no line longer than 140 characters, generated files aside", (folder) => {
  const root = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  const lines = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !generated.includes(file))
    .flatMap((file) => readFileSync(root + file, "utf8").split("\n").map((line, i) => ({ place: `${file}:${i + 1}`, length: [...line].length })));
  expect(lines.length).toBeGreaterThan(1000);
  expect(lines.filter(({ length }) => length > 140)).toEqual([]);
});
