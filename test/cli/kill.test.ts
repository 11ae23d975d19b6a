import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { temporaryFolder, text, tinyGPT } from "./command";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { path, file } = temporaryFolder();
const config = file("gpt.json", JSON.stringify({ ...tinyGPT, training: { ...tinyGPT.training, steps: 40, saveEvery: 5 } }));
const args = (out: string, ...more: string[]): string[] => ["dist/cli.js", "train", "text", "--data", file("book.txt", text), "--config", config, "--json", "--out", path(out), ...more];
const weights = (out: string): Buffer[] => ["model.safetensors", "optimizer.safetensors", "log.jsonl"].map((name) => readFileSync(path(`${out}/${name}`)));

beforeAll(() => {
  const build = spawnSync(process.execPath, ["build.mjs"], { cwd: root, encoding: "utf8" });
  expect(build.stderr + build.stdout).not.toContain("rror");
  expect(spawnSync(process.execPath, args("whole"), { cwd: root }).status).toBe(0);
}, 300_000);

/** Starts the command and kills it without warning `delay` ms after its folder appears. */
async function trainAndKill(out: string, delay: number): Promise<void> {
  const child = spawn(process.execPath, args(out, "--resume"), { cwd: root, stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  while (!existsSync(path(out)) && !hasEnded) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, delay));
  child.kill("SIGKILL");
  await ended;
}

it("trains to the end if its output is closed", async () => {
  const child = spawn(process.execPath, args("unread"), { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.destroy();
  expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0);
  expect(weights("unread")[0]).toEqual(weights("whole")[0]);
}, 300_000);

it.each([0, 20, 80])("after kill -9, %i ms after its first file, --resume ends with the same bytes", async (delay) => {
  const out = `killed-${delay}`;
  await trainAndKill(out, delay);
  await trainAndKill(out, 200 + delay); // the folder exists already, so this run is killed some time after it starts
  const { status, stdout } = spawnSync(process.execPath, args(out, "--resume"), { cwd: root, encoding: "utf8" });
  expect(status).toBe(0);
  expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({ steps: 40, ended: "steps" });
  expect(weights(out)).toEqual(weights("whole"));
}, 300_000);
