import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { gzipSync } from "node:zlib";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { nodeFiles } from "../../host/platform/node-files";
import { HeedError } from "../../host/errors";
import { readSafetensors, writeSafetensors } from "../../host/io/safetensors";
import { corpus, type Outcome, run, temporaryFolder, text, tinyGPT, tinyTransformer } from "./command";

const { path, file } = temporaryFolder();
const transformer = file("transformer.json", JSON.stringify(tinyTransformer));
const gpt = file("gpt.json", JSON.stringify(tinyGPT));
const { source, target } = corpus(30);
const good = { source: file("good.de", source), target: file("good.en", target) };

/** Trains a translation model, with some of the files replaced. */
const translate = (files: { source?: string; target?: string; validSource?: string; validTarget?: string }, ...more: string[]): Promise<Outcome> => {
  const { source, target, validSource, validTarget } = { ...good, validSource: good.source, validTarget: good.target, ...files };
  const args = ["--source", source, "--target", target, "--valid-source", validSource, "--valid-target", validTarget];
  return run(["train", "translate", ...args, "--vocabulary", "290", "--config", transformer, "--out", path("unwritten"), ...more]);
};

function expectLine({ code, stdout, stderr }: Outcome, message: string): void {
  const lines = stderr.trimEnd().split("\n");
  expect(lines.at(-1)).toBe(`heed: ${message}`);
  expect(lines.filter((line) => line.startsWith("heed: "))).toHaveLength(1);
  expect(code).toBe(1);
  expect(stdout).toBe("");
}

describe("bad data gets one line that says what is wrong and where", () => {
  it("files with different numbers of lines: both numbers", async () => {
    const short = file("short.en", target.split("\n").slice(0, 28).join("\n"));
    const { stderr } = await translate({ validTarget: short });
    expect(stderr).toBe(`heed: ${good.source} has 30 lines, but ${short} has 28; each line must be the translation of the same line in the other file\n`); // before a vocabulary is learned
    expectLine(await translate({ target: short }), `${good.source} has 30 lines, but ${short} has 28; each line must be the translation of the same line in the other file`);
  });

  it("an empty file, plain or gzip", async () => {
    const empty = file("empty.de", "");
    expectLine(await translate({ source: empty }), `${empty}: the file is empty`);
    const zipped = file("empty.de.gz", gzipSync(""));
    expectLine(await translate({ source: zipped }), `${zipped}: the file is empty`);
  });

  it("a missing file, a folder, corrupt gzip data", async () => {
    expectLine(await translate({ source: path("none.de") }), `${path("none.de")}: no such file`);
    expectLine(await translate({ source: path("") }), `${path("")}: expected a file, got a folder`);
    const broken = file("broken.de.gz", gzipSync(source).subarray(0, 40));
    expectLine(await translate({ source: broken }), `${broken}: corrupt gzip data: unexpected end of file`);
  });

  it("invalid UTF-8: the line and the byte", async () => {
    const invalid = file("invalid.de", Buffer.concat([Buffer.from("ein hund\nein "), Buffer.of(0xff), Buffer.from("ffin\n")]));
    expectLine(await translate({ source: invalid }), `${invalid}: not UTF-8: line 2, byte 5 (0xff)`);
  });

  it("a line that is too long for the model: which, how long, and what to do", async () => {
    const long = file("long.de", source.replace("\n", ` ${"hund ".repeat(60)}\n`));
    const outcome = await translate({ source: long });
    expectLine(outcome, outcome.stderr.trimEnd().split("\n").at(-1)!.slice("heed: ".length));
    expect(outcome.stderr).toMatch(/long\.de, line 1: \d+ tokens exceed the maximum of 40; .*--skip-long/);
    const config = file("tokens.json", JSON.stringify({ ...tinyTransformer, training: { ...tinyTransformer.training, batch: 64, steps: 2 } }));
    const skipped = await translate({ source: long }, "--skip-long", "--config", config, "--out", path("skipped"));
    expect(skipped).toMatchObject({ code: 0 });
    expect(skipped.stderr).toContain(`${long}: skipped 1 of 30 pairs: line 1 (long)\n`);
  });

  it.each([0, 1])("with --skip-long, samples translate lines that were not skipped, if line %i of the validation set is too long", async (index) => {
    const validSource = file(`valid${index}.de`, source.split("\n").map((line, i) => (i === index ? "hund ".repeat(60) : line)).join("\n"));
    const config = file("samples.json", JSON.stringify({ ...tinyTransformer, training: { ...tinyTransformer.training, batch: 64, steps: 2 } }));
    const { code, stderr } = await translate({ validSource }, "--skip-long", "--config", config, "--out", path(`samples${index}`));
    expect(code).toBe(0);
    expect(stderr.match(/^ {2}.* → /gm)).toEqual([index === 0 ? "  der katze rennt → " : "  der hund rennt → ", "  der mann rennt → "]);
  });

  it("a text too short for the model's block", async () => {
    const short = file("short.txt", "too short");
    const outcome = await run(["train", "text", "--data", short, "--config", gpt, "--out", path("unwritten")]);
    expectLine(outcome, `${short}: a block of 16 needs 39 characters, got 9; give a longer text, or use a smaller block (--config)`);
  });

  it("leaves no checkpoint behind", () => {
    expect(readdirSync(path("")).filter((name) => name === "unwritten")).toEqual([]);
  });
});

describe("bad settings get one line", () => {
  const dates = (config: unknown): Promise<Outcome> => run(["train", "dates", "--config", file("bad.json", JSON.stringify(config)), "--out", path("unwritten")]);

  it.each([
    [{ modle: {} }, 'unknown field "modle"; did you mean "model"?'],
    [{ model: { widht: 8 } }, 'model: unknown field "widht"; did you mean "width"?'],
    [{ training: { step: 8 } }, 'training: unknown field "step"; did you mean "steps"?'],
    [{ training: { schedule: { peek: 1 } } }, 'training.schedule: unknown field "peek"; did you mean "peak"?'],
    [{ training: { schedule: { kind: "cosin", peak: 1 } } }, 'training.schedule: kind: expected "constant" or "linear" or "cosine" or "noam", got "cosin"'],
    [{ model: { width: -8 } }, "model: width: expected an integer of at least 1, got -8"],
    [{ model: { dropout: 1 } }, "model: dropout: expected a number in [0, 1), got 1"],
  ])("%j", async (config, message) => {
    expectLine(await dates(config), `${path("bad.json")}: ${message}`);
  });

  it("a width that the heads do not divide", async () => {
    expectLine(await dates({ model: { width: 30, heads: 4 } }), "attention: the width must be divisible by the number of heads, got width=30 heads=4");
  });

  it("more dates than fit in memory: how many", async () => {
    expectLine(
      await dates({ training: { steps: 1_000_000 } }),
      "1,000,000 steps need 32,000,000 dates; at most 5,000,000 fit in memory; use fewer steps (--steps) or smaller batches (--config)",
    );
  });

  it("a model larger than 4 GiB: how much it needs", async () => {
    const outcome = await dates({ model: { width: 16384, heads: 4, hidden: 65536 } });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/^heed: the model's weights need \d+\.\d+ GiB; WebAssembly's 32-bit memory ends at 4\.00 GiB\n$/);
  });

  it("a file that is not JSON", async () => {
    const outcome = await run(["train", "dates", "--config", file("not.json", "{"), "--out", path("unwritten")]);
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toContain(`${path("not.json")}: not JSON: `);
  });
});

describe("a bad checkpoint", () => {
  const model = path("model");
  const weights = `${model}/model.safetensors`;
  let original: Buffer;

  beforeAll(async () => {
    await run(["train", "text", "--data", file("book.txt", text), "--config", gpt, "--out", model]);
    original = readFileSync(weights);
  }, 120_000);

  afterEach(() => writeFileSync(weights, original));

  const generate = (): Promise<Outcome> => run(["generate", "--model", model, "--prompt", "the", "--max", "3"]);

  it("that is truncated: names the file, and the sizes expected and found", async () => {
    truncateSync(weights, original.length - 100);
    const { code, stderr } = await generate();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^heed: .*model\.safetensors: safetensors: .*expected \d+ bytes.*got \d+\n$/);
  });

  it("with missing, unexpected and wrongly shaped tensors: lists them all", async () => {
    const { tensors } = readSafetensors(original);
    const stored = new Map(tensors);
    const width = stored.get("norm.weight")!;
    stored.delete("norm.weight");
    stored.set("extra", width);
    stored.set("layers.0.norm1.weight", { ...width, shape: [4, 4] });
    writeFileSync(weights, writeSafetensors(stored));
    expectLine(
      await generate(),
      `${weights}: 3 tensors do not match the model: wrong shape: layers.0.norm1.weight: expected [16], got [4,4]; missing: norm.weight [16]; unexpected: extra [16]`,
    );
  });

  it("whose config.json is invalid: names it", async () => {
    const config = readFileSync(`${model}/config.json`, "utf8");
    const flaws: [string, string][] = [
      ['"heads": 3', "attention: the width must be divisible by the number of heads, got width=16 heads=3"],
      ['"heads": 0', "model: heads: expected an integer of at least 1, got 0"],
      ['"layers": 100000000', "model: layers: expected an integer from 1 to 1000, got 100000000"],
    ];
    for (const [field, message] of flaws) {
      writeFileSync(`${model}/config.json`, config.replace(new RegExp(`${field.split(":")[0]}: \\d+`), field));
      expectLine(await generate(), `${model}/config.json: ${message}`);
    }
    writeFileSync(`${model}/config.json`, config);
  });

  it("that is not a checkpoint, or has the other kind of model: says so", async () => {
    expect((await run(["generate", "--model", path("nowhere")])).stderr).toContain("expected a checkpoint, found no files");
    expectLine(await run(["translate", "--model", model, "a"]), `${model} contains a language model, which cannot translate; use heed generate`);
    expectLine(await run(["eval", "--model", model]), `eval: ${model} needs data for the evaluation; give --data`);
  });

  it("used with a character outside its vocabulary: names the character", async () => {
    const { stderr } = await run(["generate", "--model", model, "--prompt", "thé"]);
    expect(stderr).toBe('heed: the prompt: character "é" (U+00E9) at position 2 is not one of the tokenizer\'s 16 characters, and there is no <unk> token\n');
  });
});

describe("a training run that diverges", () => {
  it("ends with an error, and so does evaluating its model", async () => {
    const out = path("diverged");
    const training = { ...tinyGPT.training, schedule: { kind: "constant", peak: 1e18 } };
    const config = file("diverging.json", JSON.stringify({ ...tinyGPT, training }));
    const { code, stdout, stderr } = await run(["train", "text", "--data", path("book.txt"), "--config", config, "--out", out]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("validation loss NaN (best: –)\n");
    expect(stderr).toMatch(/heed: no validation had a finite loss; start over with a lower learning rate \(--config\), or check the data\n$/);
    const evaluation = await run(["eval", "--model", out, "--data", path("book.txt"), "--json"]);
    expect(evaluation).toMatchObject({ code: 1, stderr: `heed: ${out}: the loss is NaN; has the model been trained?\n` });
  });
});

describe("a checkpoint's trainer.json", () => {
  it.each([
    ["null", "expected an object with seed, build, training, data, state, record, got null"],
    ["{", "not JSON: "],
    ['{"state":{"step":1}}', "seed: expected an integer of at least 0, got nothing"],
  ])("with %s is refused by heed inspect, naming the file", async (content, message) => {
    const model = path("model");
    const original = readFileSync(`${model}/trainer.json`);
    writeFileSync(`${model}/trainer.json`, content);
    const { code, stdout, stderr } = await run(["inspect", model]);
    writeFileSync(`${model}/trainer.json`, original);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`heed: ${model}/trainer.json: ${message}`);
  });
});

describe("a folder that another process is training in", () => {
  const out = path("locked");
  const train = (...more: string[]): Promise<Outcome> => run(["train", "text", "--data", path("book.txt"), "--config", gpt, "--steps", "2", "--out", out, ...more]);
  const lock = (owner: string): void => {
    mkdirSync(out, { recursive: true });
    writeFileSync(`${out}/.lock`, owner);
  };

  it("is refused, and keeps its lock", async () => {
    lock(`${process.ppid} ${hostname()}\n`);
    const { code, stderr } = await train();
    expect(code).toBe(1);
    expect(stderr).toContain(`heed: ${out}: process ${process.ppid} is already training there; stop it first, or choose another --out`);
    expect(readdirSync(out)).toEqual([".lock"]);
  });

  it.each([["no longer exists", `4194304 ${hostname()}\n`], ["was on another machine", "1 elsewhere.example\n"], ["left an incomplete lock", ""]])(
    "is unlocked if that process %s, and free after training",
    async (_, owner) => {
      lock(owner);
      expect((await train("--overwrite")).code).toBe(0);
      expect(readdirSync(out)).not.toContain(".lock");
    },
  );

  it("is removed again if nothing could be saved", async () => {
    const never = path("never");
    vi.spyOn(nodeFiles, "write").mockRejectedValue(new HeedError("file", "ENOSPC"));
    const { stderr } = await run(["train", "text", "--data", path("book.txt"), "--config", gpt, "--out", never]);
    vi.restoreAllMocks();
    expect(stderr).toContain("ENOSPC; nothing was saved\n");
    expect(existsSync(never)).toBe(false);
  });
});

describe("a full disk", () => {
  afterEach(() => vi.restoreAllMocks());

  it("ends training with one line, and the previous checkpoint still loads", async () => {
    const out = path("full");
    const args = ["train", "text", "--data", path("book.txt"), "--config", gpt, "--out", out];
    const write = nodeFiles.write;
    let room = 1; // room for one checkpoint; the next does not fit
    vi.spyOn(nodeFiles, "write").mockImplementation(async (name, bytes) => {
      if (/model\.safetensors\.heed-\w+\.next$/.test(name) && room-- === 0) throw new HeedError("file", `cannot write ${name}: ENOSPC: no space left on device, write`);
      return write(name, bytes);
    });
    const full = await run(args);
    expect(full.code).toBe(1);
    expect(full.stderr).toContain("ENOSPC: no space left on device, write; the previous checkpoint is intact\n");
    vi.restoreAllMocks();
    expect((await run(["generate", "--model", out, "--prompt", "the", "--max", "3"])).code).toBe(0);
    expect((await run([...args, "--resume", "--json"])).json).toMatchObject({ steps: 24 });
  });
});
