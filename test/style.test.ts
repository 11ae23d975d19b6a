import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const assembly = fileURLToPath(new URL("../assembly/", import.meta.url));

it("assembly/, which ESLint does not check, has no line longer than 140 characters", () => {
  const lines = readdirSync(assembly, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => readFileSync(assembly + file, "utf8").split("\n").map((line, i) => ({ place: `${file}:${i + 1}`, length: [...line].length })));
  expect(lines.length).toBeGreaterThan(1000);
  expect(lines.filter(({ length }) => length > 140)).toEqual([]);
});
