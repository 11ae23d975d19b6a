import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { otherNodes as others } from "./nodes";

// Two short training runs on the `simd` build; the same on Node 20.20 and 24.
const HASH = "26e61010fe79eedca95fb35a98a14d7df6e43854674ccd6c855ab9fe83c0affa";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const train = (node: string, ...args: number[]): string => execFileSync(node, [path("bits.mjs"), ...args.map(String)], { encoding: "utf8" }).trim();

describe("the build simd", () => {
  it("trains to the same bits on every run and every engine", () => {
    expect(existsSync(path("../../dist/index.js")), "dist/ is built by `npm test`, or by `npm run build`").toBe(true);
    expect(readdirSync(path("../../dist"))).toContain("heed.simd.wasm");
    expect([train(process.execPath), train(process.execPath)]).toEqual([HASH, HASH]);
  });

  it("trains to the same bits for 50 steps on one to four threads", () => {
    const hashes = [1, 2, 3, 4].map((threads) => train(process.execPath, 50, threads));
    expect(hashes).toEqual(new Array(4).fill(hashes[0]));
  });

  it.skipIf(others.length === 0)(`trains to the same bits on other versions of Node${others.length ? "" : " (skipped: none found; set HEED_NODES)"}`, () => {
    for (const node of others) expect(train(node), node).toBe(HASH);
  });
});
