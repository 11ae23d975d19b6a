import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type Outcome, run, temporaryFolder, text, tinyGPT, tinyTransformer } from "./command";

const { path, file } = temporaryFolder();
const [dates, book] = [path("dates"), path("book")];

beforeAll(async () => {
  const [transformer, gpt] = [file("transformer.json", JSON.stringify(tinyTransformer)), file("gpt.json", JSON.stringify(tinyGPT))];
  await run(["train", "dates", "--config", transformer, "--steps", "2", "--out", dates]);
  await run(["train", "text", "--data", file("book.txt", text), "--config", gpt, "--steps", "2", "--out", book]);
}, 120_000);

interface Row { name: string; calls: number; ms: number; share: number; flops: number; bytes: number; gflops: number; gbps: number; ofLimit: number }
interface Program extends Row { runs: number; limits: { gflops: number; gbps: number }; kernels: Row[]; layers: Row[] }

const profile = (model: string, ...more: string[]): Promise<Outcome> => run(["profile", "--model", model, "--seconds", "0", "--batch", "2", ...more]);

describe("heed profile", () => {
  it("times an encoder-decoder's programs by kernel and by layer, with equal sums", async () => {
    const { code, stderr, json } = await profile(dates, "--length", "10", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(json).toMatchObject({ model: dates, type: "transformer", threads: 1, batch: 2, length: 10 });
    const programs = json.programs as Program[];
    expect(programs.map(({ name }) => name)).toEqual(["encode", "prompt", "step", "train"]);
    for (const { calls, ms, flops, bytes, runs, limits, kernels, layers } of programs) {
      for (const rows of [kernels, layers]) {
        const sum = (of: (row: Row) => number): number => rows.reduce((sum, row) => sum + of(row), 0);
        expect([sum((row) => row.calls), sum((row) => row.flops), sum((row) => row.bytes)]).toEqual([calls, flops, bytes]);
        expect(sum((row) => row.ms) / ms).toBeCloseTo(1, 3);
        expect(sum((row) => row.share)).toBeCloseTo(1, 3);
      }
      expect(runs).toBeGreaterThanOrEqual(5);
      expect(Math.min(limits.gflops, limits.gbps)).toBeGreaterThan(0);
    }
    const kernels = programs.map(({ kernels }) => kernels.map(({ name }) => name));
    expect(kernels[0]).toContain("cacheKeyValue");
    expect(kernels[0]).not.toContain("sample");
    expect(kernels[1]).toContain("cacheKeyValue");
    expect(kernels[1]).not.toContain("sample");
    expect(kernels[2]).toEqual(expect.arrayContaining(["cacheKeyValue", "attentionForward", "sample", "advance"]));
    const train = programs[3]!;
    expect(train.kernels.map(({ name }) => name)).toEqual(expect.arrayContaining(["matmulTN", "attentionBackward", "crossEntropy", "adamwStep"]));
    expect(train.layers.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["embedding", "encoder.layers.0.attention", "decoder.layers.0.crossAttention", "decoder.norm", "loss", "optimizer"]),
    );
  });

  it("prints a table in columns, for --program only", async () => {
    const { stdout } = await profile(book, "--program", "train");
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/book: a gpt, 2 × 16 tokens, one thread, build (simd|relaxed)$/);
    expect(lines[2]).toMatch(/^train: \d+\.\d\d ms, 0\.\d{3} GFLOP, \d+(\.\d)? % of the limit \(median of \d+ runs; limits: [\d.]+ GFLOP\/s, [\d.]+ GB\/s\)$/);
    expect(lines.filter((line) => line.startsWith("train:") || /^(prompt|step):/.test(line))).toHaveLength(1);
    const start = lines.findIndex((line) => line.startsWith("  layer "));
    const table = lines.slice(start, lines.indexOf("", start));
    expect(table.map((line) => line.trim().split(" ")[0])).toEqual([
      "layer", "embedding", "positions", "(model)", "layers.0.norm1", "layers.0.attention", "layers.0", "layers.0.norm2", "layers.0.feedForward", "norm", "loss", "optimizer",
    ]);
    expect(new Set(table.map((line) => line.length)).size).toBe(1);
  });

  it("--trace writes a Chrome trace: complete events with times, a track for each program", async () => {
    const trace = path("trace.json");
    expect((await profile(book, "--trace", trace)).code).toBe(0);
    const { traceEvents } = JSON.parse(readFileSync(trace, "utf8")) as { traceEvents: Record<string, unknown>[] };
    const tracks = traceEvents.filter(({ ph }) => ph === "M").map(({ args }) => (args as { name: string }).name);
    expect(tracks).toEqual(["prompt", "step", "train"]);
    const events = traceEvents.filter(({ ph }) => ph !== "M");
    expect(events.length).toBeGreaterThan(50);
    for (const event of events) {
      expect(event).toMatchObject({ ph: "X", name: expect.stringMatching(/./) as string, pid: 1, ts: expect.any(Number) as number, dur: expect.any(Number) as number });
      expect(event.dur).toBeGreaterThanOrEqual(0);
    }
    expect(events.find(({ name }) => name === "attentionBackward")).toMatchObject({ args: { layer: "layers.0.attention", backward: true } });
  });

  it("--threads divides the work, and multiplies the limits", async () => {
    const { json, stdout } = await profile(book, "--program", "step", "--threads", "2", "--json");
    expect(json).toMatchObject({ threads: 2, programs: [{ name: "step" }] });
    expect(stdout.split("\n")).toHaveLength(2);
  });

  it("does not change the checkpoint", async () => {
    const before = readFileSync(`${book}/model.safetensors`);
    await profile(book, "--program", "train");
    expect(readFileSync(`${book}/model.safetensors`).equals(before)).toBe(true);
  });

  it.each([
    [["--length", "17"], 1, "--length 17: the model takes at most 16 tokens"],
    [["--program", "encode"], 1, "--program encode: a gpt has the programs prompt, step, train"],
    [["--program", "trian"], 2, "option '--program <name>' argument 'trian' is invalid. Unknown program; did you mean train?"],
    [["--batch", "0"], 2, "option '--batch <n>' argument '0' is invalid. Expected a whole number of at least 1."],
    [["--trace", "no/such/folder"], 1, "cannot write no/such/folder: ENOENT: no such file or directory, open 'no/such/folder'"],
  ])("refuses %j in one line", async (args, code, message) => {
    expect(await profile(book, ...args)).toMatchObject({ code, stdout: "", stderr: `heed: ${message}\n` });
  });

  it("refuses a folder without a checkpoint, and a missing --model", async () => {
    expect(await run(["profile", "--model", path("nowhere")])).toMatchObject({ code: 1, stderr: `heed: ${path("nowhere")}: expected a checkpoint, found no files\n` });
    expect(await run(["profile"])).toMatchObject({ code: 2, stderr: "heed: missing required option -m, --model <folder>\n" });
  });

  it("says how much memory is needed by sizes that do not fit", async () => {
    const { code, stderr } = await profile(book, "--batch", "1000000", "--program", "train");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^heed: .* needs [\d.]+ GiB.*; WebAssembly's 32-bit memory ends at 4\.00 GiB\n$/);
  });
});
