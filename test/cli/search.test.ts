import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { HeedError } from "../../host/errors";
import { nodeFiles } from "../../host/platform/node-files";
import { run, temporaryFolder, text, tinyGPT, tinyTransformer } from "./command";

const { path, file } = temporaryFolder();
const [dates, book] = [path("dates"), path("book")];

beforeAll(async () => {
  const [transformer, gpt] = [file("transformer.json", JSON.stringify(tinyTransformer)), file("gpt.json", JSON.stringify(tinyGPT))];
  await run(["train", "dates", "--config", transformer, "--steps", "2", "--out", dates]);
  await run(["train", "text", "--data", file("book.txt", text), "--config", gpt, "--out", book]);
}, 120_000);

describe("heed translate --beam", () => {
  const translate = (...more: string[]) => run(["translate", "--model", dates, ...more, "3.3.19", "", "the third of March 2019"]);

  it("prints one line for each text, and --n-best as many as asked for, numbered, with falling scores", async () => {
    const best = await translate("--beam", "3", "--json");
    const lines = best.stdout.split("\n");
    expect([best.code, lines[1]]).toEqual([0, ""]);
    const many = await translate("--beam", "3", "--n-best", "2");
    const found = many.stdout.trimEnd().split("\n").map((line) => line.split(" ||| "));
    expect(found.map(([number]) => number)).toEqual(["1", "1", "2", "3", "3"]);
    expect(found.filter(([number], i) => found.findIndex(([other]) => other === number) === i).map(([, translation]) => translation)).toEqual(lines.slice(0, 3));
    expect(Number(found[0]![2])).toBeGreaterThanOrEqual(Number(found[1]![2]));
    expect(best.json).toMatchObject({ translations: lines.slice(0, 3) });
  });

  it("gives each text what it gets alone", async () => {
    const together = (await translate("--beam", "2")).stdout.split("\n");
    const alone = (await run(["translate", "--model", dates, "--beam", "2", "3.3.19"])).stdout.trimEnd();
    expect(together[0]).toBe(alone);
  });

  it("--alignments names a source token for each token of the translation", async () => {
    const { json, stdout, stderr } = await translate("--alignments", "--json");
    expect(stderr).toBe("");
    const { nBest } = json as { nBest: { text: string; alignment?: [number, number][] }[][] };
    const { text, alignment } = nBest[0]![0]!;
    expect(alignment!.map(([, target]) => target)).toEqual([...alignment!.keys()]);
    for (const [source] of alignment!) expect(source).toBeLessThan("3.3.19".length);
    expect(stdout.split("\n")[0]).toBe(`${text} ||| ${alignment!.map((pair) => pair.join("-")).join(" ")}`);
    expect(stdout.split("\n")[1]).toBe("");
  });

  it("refuses more translations than beams, and no beams", async () => {
    expect(await translate("--beam", "2", "--n-best", "3")).toMatchObject({ code: 2, stderr: expect.stringContaining("option '--n-best 3' needs at least as many beams, got '--beam 2'") as string });
    expect(await translate("--beam", "0")).toMatchObject({ code: 2 });
  });

  it("heed eval --beam reports BLEU of the beam's translations", async () => {
    const [source, target] = [file("source.txt", "3.3.19\n4.4.20\n"), file("target.txt", "2019-03-03\n2020-04-04\n")];
    const { stdout, code } = await run(["eval", "--model", dates, "--source", source, "--target", target, "--beam", "2"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining("lower-cased, beam 2) on 2 sentences")]);
  });
});

describe("heed generate", () => {
  const generate = (...more: string[]) => run(["generate", "--model", book, "--prompt", "the ", "--max", "20", ...more]);

  it.each([
    ["--top-p", "0.2"], ["--min-p", "0.9"], ["--typical-p", "0.2"], ["--repetition-penalty", "5"], ["--presence-penalty", "9"], ["--frequency-penalty", "9"], ["--unique-ngrams", "2"],
  ])("%s %s changes the text, the same for the same seed", async (option, value) => {
    const [plain, first, second] = [await generate(), await generate(option, value), await generate(option, value)];
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).not.toBe(plain.stdout);
    expect(second.stdout).toBe(first.stdout);
  });

  it("ends before a --stop text, and says so with --json", async () => {
    const { stdout } = await generate();
    const stop = stdout.slice(8, 10);
    const { json } = await generate("--stop", "~never~", "--stop", stop, "--json");
    expect(json).toMatchObject({ reason: "stop", text: stdout.slice(4, stdout.indexOf(stop, 4)) });
  });

  it("--session continues what --save-session saved, to the text of one run over both prompts", async () => {
    const [saved, again] = [path("the.session"), path("again.session")];
    const first = await generate("--temperature", "0", "--max", "3", "--save-session", saved);
    const more = await run(["generate", "--model", book, "--session", saved, "--prompt", " a", "--max", "4", "--temperature", "0", "--save-session", again]);
    const whole = await run(["generate", "--model", book, "--prompt", `${first.stdout.slice(0, -1)} a`, "--max", "4", "--temperature", "0"]);
    expect(more.stdout).toBe(whole.stdout.slice(first.stdout.length - 1));
    expect((await run(["generate", "--model", book, "--session", again, "--max", "1"])).code).toBe(0);
  });

  it("--save-session leaves the old file and nothing else behind if the new one cannot be written", async () => {
    const folder = path("sessions");
    mkdirSync(folder);
    const saved = `${folder}/a.session`;
    await generate("--save-session", saved);
    const before = readFileSync(saved);
    const write = vi.spyOn(nodeFiles, "write").mockImplementationOnce(async (file, bytes) => {
      writeFileSync(file, bytes.subarray(0, 10));
      throw new HeedError("file", "no space left");
    });
    expect(await generate("--save-session", saved)).toMatchObject({ code: 1, stderr: "heed: no space left\n" });
    write.mockRestore();
    expect([readFileSync(saved), readdirSync(folder)]).toEqual([before, ["a.session"]]);
  });

  it("shows control characters that a vocabulary contains as escapes on a terminal, and writes them to a pipe as they are", async () => {
    const hostile = path("hostile");
    const { model, training } = tinyGPT;
    const config = file("hostile.json", JSON.stringify({ model, training: { ...training, steps: 2, validateEvery: 2, schedule: { warmup: 1 } } }));
    await run(["train", "text", "--data", file("hostile.txt", "\u001b[2J\u0007é\n\t".repeat(200)), "--config", config, "--out", hostile]);
    const args = ["generate", "--model", hostile, "--prompt", "é", "--max", "60"];
    const [piped, shown] = [(await run(args)).stdout, (await run(args, { isTTY: true })).stdout];
    expect(piped).toContain("\u001b");
    expect(shown).toBe(piped.replaceAll("\u001b", "\\u001b").replaceAll("\u0007", "\\u0007"));
  });

  it("refuses sessions that it cannot use, and options out of range", async () => {
    expect(await generate("--session", path("missing"))).toMatchObject({ code: 1, stderr: expect.stringContaining("missing") as string });
    expect(await generate("--session", path("book.txt"))).toMatchObject({ code: 1, stderr: expect.stringContaining("book.txt: Session.restore: expected a saved session, got something else") as string });
    const saved = path("other.session");
    await generate("--save-session", saved);
    const other = path("other");
    await run(["train", "text", "--data", path("book.txt"), "--config", path("gpt.json"), "--out", other, "--seed", "2"]);
    expect(await run(["generate", "--model", other, "--session", saved])).toMatchObject({ code: 1, stderr: expect.stringContaining("the session was saved with weights of hash") as string });
    for (const [option, value] of [["--top-p", "0"], ["--top-p", "1.5"], ["--typical-p", "-1"], ["--repetition-penalty", "0"], ["--presence-penalty", "much"], ["--min-p", "1"]] as const) {
      expect((await generate(option, value)).code, `${option} ${value}`).not.toBe(0);
    }
  });
});

describe("heed eval --stride", () => {
  const evaluate = (...more: string[]) => run(["eval", "--model", book, "--data", path("book.txt"), "--json", ...more]);

  it("scores all tokens but the first, and a smaller stride gives them more context", async () => {
    const [whole, fine] = [(await evaluate("--stride", "16")).json, (await evaluate("--stride", "1")).json] as { loss: number; tokens: number }[];
    expect(fine!.tokens).toBe(whole!.tokens);
    expect(fine!.loss).not.toBe(whole!.loss);
    expect(Math.abs(fine!.loss - whole!.loss)).toBeLessThan(0.5);
    const { stderr, code } = await evaluate("--stride", "1000");
    expect([code, stderr]).toEqual([1, expect.stringContaining("expected a stride of at most the context of")]);
  });
});

describe("heed quantize", () => {
  it.each(["int8", "int8row", "int4"])("--to %s writes a smaller model that translates and can be evaluated", async (format) => {
    const out = path(`dates-${format}`);
    const { code, json } = await run(["quantize", "--model", dates, "--to", format, "--out", out, "--json"]);
    expect([code, json]).toMatchObject([0, { out, format }]);
    const { bytes } = json as { bytes: { before: number; after: number } };
    expect(bytes.after).toBeLessThan(bytes.before / 2);
    expect((await run(["translate", "--model", out, "3.3.19"])).code).toBe(0);
    const parameters = (await run(["inspect", dates, "--json"])).json.parameters as number;
    expect((await run(["inspect", out])).stdout).toContain(`a transformer of ${parameters.toLocaleString("en-US")} parameters in ${format}, trained for dates`);
  });

  it("keeps the predictions of a language model to 0.05 nats", async () => {
    const out = path("book-int8");
    await run(["quantize", "--model", book, "--out", out]);
    const losses = await Promise.all([book, out].map(async (model) => (await run(["eval", "--model", model, "--data", path("book.txt"), "--json"])).json.loss as number));
    expect(Math.abs(losses[0]! - losses[1]!)).toBeLessThan(0.05);
  });

  it("refuses a quantized model, an existing folder and the model's own", async () => {
    const out = path("twice");
    await run(["quantize", "--model", dates, "--out", out]);
    expect((await run(["quantize", "--model", out, "--out", path("thrice")])).stderr).toBe(`heed: ${out} is quantized already, to int8; quantize the model that it was made from\n`);
    expect((await run(["quantize", "--model", dates, "--out", out])).stderr).toContain("already contains config.json and model.safetensors and tokenizer.json");
    expect((await run(["quantize", "--model", dates, "--out", out, "--to", "int4", "--overwrite"])).code).toBe(0);
    expect((await run(["quantize", "--model", dates, "--out", dates])).stderr).toContain("this is the model itself");
    expect((await run(["quantize", "--model", dates, "--out", `${dates}/../dates/`, "--overwrite"])).stderr).toContain("this is the model itself");
    const pending = path("pending"); // a save that was interrupted after its commit: its files are still under temporary names
    mkdirSync(pending);
    writeFileSync(`${pending}/commit.json`, "{}");
    expect((await run(["quantize", "--model", dates, "--out", pending])).stderr).toContain("already contains commit.json");
  });
});
