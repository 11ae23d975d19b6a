import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
// @ts-expect-error the benches are plain JavaScript
import { generated, replaced } from "../bench/readme.mjs";
// @ts-expect-error the same
import { readResults } from "../bench/results.mjs";

describe("what bench/results.json says", () => {
  for (const [path, write] of generated as [string, (results: unknown) => string][]) {
    it(`stands in ${path.slice(3)} (npm run bench:readme)`, () => {
      const text = readFileSync(new URL(path, new URL("../bench/", import.meta.url)), "utf8");
      expect((replaced as (text: string, block: string) => string)(text, write((readResults as () => unknown)()))).toBe(text);
    });
  }
});
