import { readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import * as language from "../../host/data/language";
import * as pairs from "../../host/data/pairbatch";
import { TokenBatches } from "../../host/data/translation";
import { corpus, run, temporaryFolder, text, tinyGPT, tinyTransformer } from "./command";

const { path, file } = temporaryFolder();
const transformer = file("transformer.json", JSON.stringify(tinyTransformer));
const gpt = file("gpt.json", JSON.stringify(tinyGPT));
const book = file("book.txt", text);

/** Trains on the text, the fastest of the tasks. */
const train = (out: string, ...more: string[]): string[] => ["train", "text", "--data", book, "--config", gpt, "--json", "--out", path(out), ...more];
const bytes = (out: string): Buffer[] => ["model.safetensors", "optimizer.safetensors", "log.jsonl"].map((name) => readFileSync(path(`${out}/${name}`)));

describe("heed train", () => {
  it("dates: ends with one JSON object on stdout; progress, samples and the closing line go to stderr", async () => {
    const { code, stdout, stderr, json } = await run(["train", "dates", "--config", transformer, "--json", "--out", path("dates")]);
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    expect(json).toMatchObject({ steps: 24, ended: "steps", skippedSteps: 0 });
    for (const field of ["seconds", "tokensPerSecond", "trainLoss", "validLoss", "exactMatch"]) expect(json[field]).toBeTypeOf("number");
    expect(stderr.match(/ → /g)).toHaveLength(9);
    expect(stderr).toMatch(/[\d.]+ % of 1,000 unseen dates match exactly, after \d+ s of training\n$/);
  });

  it("takes 2n batches in n steps of two micro-batches, each once: text, translate, dates", async () => {
    const two = { steps: 3, microBatches: 2 };
    const config = (name: string, tiny: typeof tinyGPT | typeof tinyTransformer, batch: number): string =>
      file(name, JSON.stringify({ ...tiny, training: { ...tiny.training, ...two, batch } }));
    let taken: unknown[] = [];
    const makeBatches = language.languageModelBatches;
    const spies = [
      vi.spyOn(language, "languageModelBatches").mockImplementation((...args) => {
        const { batchAt } = makeBatches(...args);
        return { batchAt: (step) => (taken.push(step), batchAt(step)) };
      }),
      vi.spyOn(TokenBatches.prototype, "batchAt"),
      vi.spyOn(pairs, "pairBatch"),
    ] as const;
    await run(["train", "text", "--data", book, "--config", config("two.json", tinyGPT, 4), "--out", path("two")]);
    expect(taken).toEqual([0, 1, 2, 3, 4, 5]);
    const { source, target } = corpus(30);
    const [de, en] = [file("two.de", source), file("two.en", target)];
    await run(["train", "translate", "--source", de, "--target", en, "--valid-source", de, "--valid-target", en, "--vocabulary", "290", "--config", config("tokens2.json", tinyTransformer, 64), "--out", path("two-de")]);
    expect(spies[1].mock.calls).toEqual([0, 1, 2, 3, 4, 5].map((step) => [step]));
    await run(["train", "dates", "--config", config("dates2.json", tinyTransformer, 8), "--out", path("two-dates")]);
    taken = spies[2].mock.calls.filter(([batch]) => batch.length === 8).map(([batch]) => JSON.stringify(batch));
    expect(taken).toHaveLength(6);
    expect(new Set(taken)).toHaveProperty("size", 6);
    for (const spy of spies) spy.mockRestore();
  });

  it("text: keeps the best weights, and eval --held-out reproduces their loss", async () => {
    const { json } = await run(train("text"));
    expect(json).toMatchObject({ steps: 24, ended: "steps" });
    const evaluated = await run(["eval", "--model", path("text"), "--data", book, "--held-out", "--json"]);
    expect(evaluated.json.loss).toBe(json.validLoss);
    expect(evaluated.json.perplexity).toBeCloseTo(Math.exp(json.validLoss as number), 6);
  });

  it("translate: learns a joint vocabulary of at most --vocabulary tokens, trains, stops early, and eval gives BLEU", async () => {
    const [all, valid] = [corpus(90), corpus(12)];
    const files = [
      ["--source", file("train.de", all.source)], ["--target", file("train.en", all.target)],
      ["--valid-source", file("valid.de", valid.source)], ["--valid-target", file("valid.en", valid.target)],
    ].flat();
    const training = { ...tinyTransformer.training, batch: 64, steps: 400, validateEvery: 4, patience: 1, schedule: { peak: 0.5, warmup: 4 } };
    const config = file("tokens.json", JSON.stringify({ ...tinyTransformer, training }));
    const { code, json, stderr } = await run(["train", "translate", ...files, "--config", config, "--vocabulary", "290", "--json", "--out", path("translate")]);
    expect(stderr).toContain("Learnt a vocabulary of 290 tokens");
    expect(code).toBe(0);
    expect(json).toMatchObject({ ended: "patience", steps: (json.bestStep as number) + 4 });
    const evaluated = await run(["eval", "--model", path("translate"), "--source", path("train.de"), "--target", path("train.en"), "--json"]);
    expect(evaluated.json).toMatchObject({ sentences: 90 });
    expect(evaluated.json.bleu).toBeTypeOf("number");
  });

  it("draws a bar with step, loss, tokens/s and time left on a terminal, and lines above it", async () => {
    const { stderr } = await run(train("bar"), { isTTY: true });
    expect(stderr).toMatch(/step 24\/24 █{20} loss \d\.\d{3} · [\d,]+ tokens\/s · 0:00 left/);
    expect(stderr).toContain("step 8: train loss");
  });

  it("without --json prints the closing line on stdout", async () => {
    const { stdout } = await run(train("plain").filter((arg) => arg !== "--json"));
    expect(stdout).toMatch(/^Best validation loss \d\.\d{4} after step \d+; its weights are in .*plain\n$/);
  });

  it("refuses to replace a checkpoint without --resume or --overwrite, and leaves it unchanged", async () => {
    await run(train("kept"));
    const before = bytes("kept");
    const refused = await run(train("kept", "--seed", "2"));
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(`heed: ${path("kept")} already contains a checkpoint; use --resume to continue its training run, or --overwrite to replace it\n`);
    expect(bytes("kept")).toEqual(before);
    expect((await run(train("kept", "--seed", "2", "--overwrite"))).code).toBe(0);
    expect(bytes("kept")).not.toEqual(before);
  });
});

describe("heed train --resume", () => {
  it("after Ctrl-C ends with the same bytes as an uninterrupted run, including the log, whatever the number of threads", async () => {
    expect((await run(train("whole", "--threads", "1"))).json).toMatchObject({ threads: 1 });
    const stopped = await run(train("stopped", "--threads", "2"), { interruptAt: "step 8:" });
    expect(stopped.stderr).toMatch(/^[\d,]+ parameters, build \w+, 2 threads\n/);
    expect(stopped.code).toBe(130);
    expect(stopped.json).toMatchObject({ ended: "aborted" });
    expect(stopped.json.steps).toBeLessThan(24);
    expect(stopped.stderr).toContain("Run the same command with --resume to continue.");
    const resumed = await run(train("stopped", "--resume", "--threads", "3"));
    expect(resumed.json).toMatchObject({ threads: 3 });
    expect(resumed.stderr).toContain(`resuming after step ${stopped.json.steps}`);
    expect(resumed.json).toMatchObject({ steps: 24, ended: "steps" });
    expect(bytes("stopped")).toEqual(bytes("whole"));
  });

  it("starts at step 0, and says so, if nothing has been saved yet", async () => {
    const { code, stderr, json } = await run(train("none", "--resume"));
    expect(code).toBe(0);
    expect(stderr).toContain("nothing has been saved yet; starting at step 0");
    expect(json.steps).toBe(24);
  });

  it("of a completed run changes nothing and prints the same result", async () => {
    const first = await run(train("complete"));
    const before = bytes("complete");
    const again = await run(train("complete", "--resume"));
    expect(again.code).toBe(0);
    expect({ ...again.json, seconds: 0 }).toEqual({ ...first.json, seconds: 0 });
    expect(bytes("complete")).toEqual(before);
  });

  it("drops a logged validation that the checkpoint does not know, as after a kill while it was saved, and logs it again", async () => {
    const validations = (): number[] => readFileSync(path("logged/log.jsonl"), "utf8").trim().split("\n")
      .map((line) => JSON.parse(line) as { step: number; validLoss?: number }).filter(({ validLoss }) => validLoss !== undefined).map(({ step }) => step);
    await run(train("logged"));
    expect(validations()).toEqual([8, 16, 24]);
    const saved = readFileSync(path("logged/trainer.json"), "utf8");
    file("logged/trainer.json", saved.replace('"validatedStep": 24', '"validatedStep": 16'));
    expect(await run(train("logged", "--resume"))).toMatchObject({ code: 0 });
    expect(validations()).toEqual([8, 16, 24]);
  });

  it("with other settings or data lists what differs, old and new", async () => {
    await run(train("other"));
    const { code, stderr } = await run(train("other", "--resume", "--steps", "30", "--data", file("other.txt", text + text)));
    expect(code).toBe(1);
    expect(stderr).toContain('training.steps: 24 → 30; data.text: "sha256:');
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});
