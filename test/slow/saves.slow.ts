import { once } from "node:events";
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { openCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { nodeFiles } from "../../host/platform/node-files";
import { uniform } from "../random";
import { kill, sleep, start, temporaryFolder } from "./processes";
import { rounds, seed } from "./settings";

const folder = temporaryFolder();

it("processes that read while another saves, and is killed and started again, find whole sets only", async () => {
  const random = uniform(seed);
  const out = `${folder}/run`;
  const text = "0 ".padEnd(40_000, "0");
  await saveCheckpoint(nodeFiles, out, { "model.safetensors": text, "optimizer.safetensors": text, "trainer.json": text });
  const readers = [start("saver.mjs", "read", out), start("saver.mjs", "read", out)];
  const results: Promise<unknown[]>[] = readers.map((reader) => once(reader, "message"));
  let next = 1;
  for (let round = 0; round < rounds(40); round++) {
    const where = `seed ${seed}, round ${round}`;
    const saver = start("saver.mjs", "save", out, String(next));
    const ended = Promise.race(results.map(async (result) => `${where}: a reader ended: ${JSON.stringify(await result)}`));
    const failure = await Promise.race([ended, sleep(300 + 700 * random())]);
    await kill(saver);
    if (failure !== undefined) expect.fail(failure);
    // A kill leaves a whole set too, and the next save continues after it.
    const checkpoint = await openCheckpoint(nodeFiles, out);
    const sets = new Set(await Promise.all(checkpoint.names.filter((name) => name !== "log.jsonl").map((name) => checkpoint.readText(name))));
    expect(sets.size, where).toBe(1);
    expect(parseInt([...sets][0]!), where).toBeGreaterThanOrEqual(next - 1);
    next = parseInt([...sets][0]!) + 1;
  }
  await saveCheckpoint(nodeFiles, out, { "trainer.json": null, "optimizer.safetensors": null, odd: null }).catch((error: unknown) => expect.fail(`seed ${seed}: ${String(error)}`));
  expect(readdirSync(out).sort()).toEqual([".heed-saved.json", "log.jsonl", "model.safetensors"]);
  console.log(`${rounds(40)} kills, ${next} sets saved`);
});

it("processes that read while another saves without pause find every set whole or are told", async () => {
  const out = `${folder}/steady`;
  const text = "0 ".padEnd(40_000, "0");
  await saveCheckpoint(nodeFiles, out, { "model.safetensors": text, "optimizer.safetensors": text, "trainer.json": text });
  const children = [start("saver.mjs", "save", out, "1"), start("saver.mjs", "read", out), start("saver.mjs", "read", out)];
  const results = children.map((child) => once(child, "message") as Promise<[{ problem?: string }]>);
  await sleep(1000 * rounds(20));
  for (const child of children) if (child.connected) child.send("stop");
  for (const [{ problem, ...counts }] of await Promise.all(results)) {
    expect(problem, `seed ${seed}`).toBeUndefined();
    console.log(JSON.stringify(counts));
  }
});
