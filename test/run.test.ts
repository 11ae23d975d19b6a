import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { runScript } from "./step.mjs";

const folder = mkdtempSync(join(tmpdir(), "heed-run-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [counts, pid] = [join(folder, "counts.json"), join(folder, "pid")];

it("a test file that hangs is killed after a limit without output, and named; the results of the others are kept", async () => {
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--config", fileURLToPath(new URL("hang/vitest.config.ts", import.meta.url))];
  let shown = "";
  const { status, output, hung } = await runScript(vitest, {
    silence: 10, env: { ...process.env, HEED_TEST_COUNTS: counts, HEED_TEST_PID: pid }, show: (text) => void (shown += text),
  });
  expect({ status, hung }).toEqual({ status: null, hung: true });
  expect(shown).toContain(output.trim().split("\n")[0]);
  expect(JSON.parse(readFileSync(counts, "utf8"))).toEqual({ passed: 1, failed: 2, skipped: 1, running: ["test/hang/deadlocked.fixture.ts"], waiting: [] });
  const state = spawnSync("ps", ["-o", "stat=", "-p", readFileSync(pid, "utf8")], { encoding: "utf8" }).stdout;
  expect(state).toMatch(/^(Z.*\n)?$/); // the whole tree has ended, even if nobody has collected its status yet
});

it("a script that ends by itself keeps its status and output", async () => {
  const show = (): void => undefined;
  const result = await runScript(["-e", "console.log('out'); console.error('err'); process.exitCode = 3"], { silence: 60, show });
  expect(result).toEqual({ status: 3, output: "out\n", hung: false });
});
