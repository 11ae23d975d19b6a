import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { openCheckpoint } from "../../host/io/checkpoint";
import { nodeFiles } from "../../host/platform/node-files";
import { text, tinyGPT } from "../cli/command";
import { uniform } from "../random";
import { repository, sleep, temporaryFolder } from "./processes";
import { rounds, seed } from "./settings";

const folder = temporaryFolder();
writeFileSync(`${folder}/book.txt`, text);
writeFileSync(`${folder}/gpt.json`, JSON.stringify({ ...tinyGPT, training: { ...tinyGPT.training, steps: 60, saveEvery: 1 } }));
const args = (out: string): string[] => [
  "dist/cli.js", "train", "text", "--data", `${folder}/book.txt`, "--config", `${folder}/gpt.json`, "--json", "--resume", "--threads", "1",
  "--out", `${folder}/${out}`,
];
const results = (out: string): Buffer[] =>
  ["model.safetensors", "optimizer.safetensors", "log.jsonl", "config.json", "tokenizer.json"].map((name) => readFileSync(`${folder}/${out}/${name}`));
let duration = 0;

beforeAll(() => {
  const begin = performance.now();
  expect(spawnSync(process.execPath, args("whole"), { cwd: repository }).status).toBe(0);
  duration = performance.now() - begin;
});

/** Starts the command, and kills it when it has saved for the first time in this session, some milliseconds later. */
async function trainAndKill(out: string, delay: number): Promise<number | null> {
  const child = spawn(process.execPath, args(out), { cwd: repository, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const started = new Promise((resolve) => child.stderr.once("data", resolve));
  await Promise.race([started, ended]);
  await Promise.race([sleep(delay), ended]);
  child.kill("SIGKILL");
  return ended;
}

// With --save-every 1, most of the time goes into saving, so most kills interrupt a save.
it("training that is killed 4 times at random moments resumes to the same bytes", async () => {
  const random = uniform(seed);
  let kills = 0;
  let inSave = 0;
  for (let round = 0; round < rounds(20); round++) {
    const where = `seed ${seed}, round ${round}`;
    const out = `killed-${round}`;
    for (let i = 0; i < 4; i++) {
      if ((await trainAndKill(out, (duration / 4) * random())) !== null) continue; // it had already ended
      kills++;
      const names = await nodeFiles.list(`${folder}/${out}`);
      if (names.some((name) => /commit\.json|\.next$/.test(name))) inSave++;
      if (!names.includes(".heed-saved.json") && !names.includes("commit.json")) continue; // nothing has been saved yet
      const checkpoint = await openCheckpoint(nodeFiles, `${folder}/${out}`);
      expect(checkpoint.names, where).toContain("trainer.json");
    }
    const { status, stderr } = spawnSync(process.execPath, args(out), { cwd: repository, encoding: "utf8" });
    expect({ status, where }, stderr).toEqual({ status: 0, where });
    expect(results(out).map((bytes, i) => bytes.equals(results("whole")[i]!)), where).toEqual([true, true, true, true, true]);
    expect(readdirSync(`${folder}/${out}`).filter((name) => /next|commit|lock/.test(name)), where).toEqual([]);
  }
  console.log(`${rounds(20)} rounds, ${kills} kills, ${inSave} of them during a save`);
});
