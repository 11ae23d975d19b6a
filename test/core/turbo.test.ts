import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Runtime } from "../../host/core/runtime";
import { createRuntime, hasRevectorizer, type RuntimeWarning } from "../../host/node";
import { trialTraining } from "../../host/train/trial";
import { run, temporaryFolder, text, tinyGPT } from "../cli/command";
import { turboNode } from "./nodes";

const root = fileURLToPath(new URL("../..", import.meta.url));
const skipped = turboNode ? "" : " (skipped: no Node 24 or later found; set HEED_NODES)";

describe.skipIf(hasRevectorizer())("the build turbo, in an engine that does not support it", () => {
  const reason = 'the build "turbo" needs Node 24 or later on x64, and this is Node';
  const folder = temporaryFolder();

  it("falls back to the build that auto chooses, with a warning and the same results", async () => {
    const warnings: RuntimeWarning[] = [];
    const runtime = await createRuntime({ build: "turbo", onWarning: (warning) => warnings.push(warning) });
    const auto = await Runtime.create();
    expect(runtime.build).toBe(auto.build);
    expect(warnings).toEqual([{ code: "turbo", message: expect.stringContaining(reason) }]);
    expect(await trialTraining(runtime)).toEqual(await trialTraining(auto));
  });

  it("makes the process emit the warning if there is no onWarning", async () => {
    const emitted = new Promise<Error & { code?: string }>((resolve) => process.once("warning", resolve));
    await createRuntime({ build: "turbo" });
    expect(await emitted).toMatchObject({ name: "HeedWarning", code: "HEED_TURBO", message: expect.stringContaining(reason) });
  });

  it("makes the command print a line to stderr and continue", async () => {
    const out = folder.path("run");
    const { code, stderr } = await run(["train", "text", "--data", folder.file("book.txt", text), "--config", folder.file("gpt.json", JSON.stringify(tinyGPT)), "--out", out, "--build", "turbo"]);
    expect(stderr).toContain(`heed: ${reason}`);
    expect(code).toBe(0);
  });
});

describe("the build turbo", () => {
  it("is rejected by Runtime.create, which sets no flags", async () => {
    await expect(Runtime.create({ build: "turbo" })).rejects.toThrow('the build "turbo" needs a V8 flag; create its runtime with createRuntime from heed/node');
  });

  it.skipIf(!turboNode)(`trains to the bits of relaxed on Node 24 and later, on one thread and on two${skipped}`, () => {
    const [turbo, threaded, relaxed, simd] = execFileSync(turboNode!, [`${root}/test/core/turbo.mjs`], { encoding: "utf8" }).trim().split("\n");
    const hash = relaxed!.split(" ").at(-1)!;
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect([turbo, threaded]).toEqual([`turbo 1 ${hash}`, `turbo 2 ${hash}`]);
    expect(simd).not.toContain(hash); // the hash shows differences in the last bits
  });

  it.skipIf(!turboNode)(`passes every kernel test on Node 24 and later${skipped}`, { timeout: 120_000 }, () => {
    const args = ["node_modules/vitest/vitest.mjs", "run", "test/kernels", "-t", "\\(turbo\\)", "--reporter=json", "--maxWorkers=1"];
    const { numPassedTests, numFailedTests } = JSON.parse(execFileSync(turboNode!, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 })) as Record<string, number>;
    expect(numFailedTests).toBe(0);
    expect(numPassedTests).toBeGreaterThan(100);
  });
});
