import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { HeedError } from "../../host/errors";
import { openCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { loadModel, saveModel } from "../../host/io/model";
import { GPT } from "../../host/models/gpt";
import { nodeFiles } from "../../host/platform/node-files";
import { run, tinyTransformer } from "../cli/command";
import { createRuntime } from "../graph/runtime";
import { FaultyFiles } from "../io/faultyfiles";
import { temporaryFolder } from "./processes";
import { rounds, seed } from "./settings";

const folder = temporaryFolder();
const modes = ["well", "full", "dead"] as const;
const settings = modes.flatMap((then) => [true, false].map((isDone) => ({ then, isDone })));
afterEach(() => vi.restoreAllMocks());

/** Fails at each operation in turn until all succeed. */
async function atEachOperation(action: (files: FaultyFiles, where: string) => Promise<void>): Promise<void> {
  for (const { then, isDone } of settings) {
    for (let at = 0; ; at++) {
      const files = new FaultyFiles(nodeFiles, { at, isDone, then });
      await action(files, `seed ${seed}, operation ${at}, which ${isDone ? "takes effect" : "does not take effect"}, then ${then}`);
      if (files.operations <= at) break;
    }
  }
}

describe("a disk that fails at the n-th operation, for every n", () => {
  it("leaves the old or the new set of saveCheckpoint", async () => {
    const out = `${folder}/set`;
    const load = async (): Promise<Record<string, string>> => {
      const checkpoint = await openCheckpoint(nodeFiles, out);
      return Object.fromEntries(await Promise.all(checkpoint.names.map(async (name) => [name, await checkpoint.readText(name)])));
    };
    const before = { a: "old", b: "old", c: "old" };
    await atEachOperation(async (files, where) => {
      rmSync(out, { recursive: true, force: true });
      await saveCheckpoint(nodeFiles, out, before);
      const error = await saveCheckpoint(files, out, { a: "new", b: null, d: "new" }).then(() => null, (reason: unknown) => reason);
      const after = { a: "new", c: "old", d: "new" };
      if (error !== null) expect(error, where).toBeInstanceOf(HeedError);
      expect(error === null ? [after] : [before, after], where).toContainEqual(await load());
      await saveCheckpoint(nodeFiles, out, { a: "next" });
      expect((await load()).a, where).toBe("next");
    });
  });

  it("leaves the old or the new model of saveModel, bit by bit", async () => {
    const out = `${folder}/model`;
    const runtime = await createRuntime();
    const tokenizer = CharacterTokenizer.of(["abc"]);
    const make = (seed: number): GPT => new GPT({ vocabulary: 3, block: 4, layers: 1, heads: 2, width: 8 }).place(runtime, { seed });
    const [before, after] = [make(1), make(2)];
    await atEachOperation(async (files, where) => {
      rmSync(out, { recursive: true, force: true });
      await saveModel(nodeFiles, out, { model: before, tokenizer });
      const error = await saveModel(files, out, { model: after, tokenizer }).then(() => null, (reason: unknown) => reason);
      if (error !== null) expect(error, where).toBeInstanceOf(HeedError);
      const { model } = await loadModel(runtime, await openCheckpoint(nodeFiles, out));
      const weights = model.weights.read();
      model.dispose();
      expect((error === null ? [after] : [before, after]).map((candidate) => candidate.weights.read()), where).toContainEqual(weights);
    });
  });

  it("ends heed train dates with one line, and --resume then ends with the same bytes", async () => {
    const training = { ...tinyTransformer.training, steps: 4, validateEvery: 2, saveEvery: 1, schedule: { warmup: 4 } };
    writeFileSync(`${folder}/config.json`, JSON.stringify({ ...tinyTransformer, training }));
    const train = (out: string, ...more: string[]) => run(["train", "dates", "--config", `${folder}/config.json`, "--json", "--threads", "1", "--out", out, ...more]);
    const results = (out: string): Buffer[] => ["model.safetensors", "optimizer.safetensors", "log.jsonl"].map((name) => readFileSync(`${out}/${name}`));
    expect((await train(`${folder}/whole`)).code).toBe(0);
    const whole = results(`${folder}/whole`);

    const methods = ["exists", "read", "open", "write", "append", "rename", "remove", "list", "makeDirectory"] as const;
    let tried = 0;
    for (const { then, isDone } of settings) {
      // the whole run has some 110 operations; each setting tries its own share of them
      const stride = Math.max(1, Math.round(12 / rounds(1)));
      for (let at = (seed + settings.findIndex((other) => other.then === then && other.isDone === isDone)) % stride; ; at += stride) {
        const where = `seed ${seed}, operation ${at}, which ${isDone ? "takes effect" : "does not take effect"}, then ${then}`;
        const out = `${folder}/dates`;
        rmSync(out, { recursive: true, force: true });
        mkdirSync(out);
        const actual = Object.fromEntries(methods.map((name) => [name, nodeFiles[name]])) as unknown as typeof nodeFiles;
        const faulty = new FaultyFiles(actual, { at, isDone, then });
        for (const name of methods) vi.spyOn(nodeFiles, name).mockImplementation(faulty[name] as never);
        const { code, stderr } = await train(out);
        vi.restoreAllMocks();
        if (faulty.operations <= at) break;
        tried++;
        if (code !== 0) {
          expect(code, where).toBe(1);
          expect(stderr.trimEnd().split("\n").at(-1), where).toMatch(/^heed: .*ENOSPC/);
        }
        const resumed = await train(out, "--resume");
        expect({ code: resumed.code, where }, resumed.stderr).toEqual({ code: 0, where });
        expect(results(out).map((bytes, i) => bytes.equals(whole[i]!)), where).toEqual([true, true, true]);
      }
    }
    console.log(`heed train dates: ${tried} failures`);
    expect(tried).toBeGreaterThan(settings.length);
  });
});
