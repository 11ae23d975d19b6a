import { beforeAll, describe, expect, it, vi } from "vitest";
import { run, temporaryFolder, text, tinyGPT, tinyLlama, tinyTransformer } from "./command";

const { path, file } = temporaryFolder();
const [dates, book, llama] = [path("dates"), path("book"), path("llama")];

beforeAll(async () => {
  const [transformer, gpt] = [file("transformer.json", JSON.stringify(tinyTransformer)), file("gpt.json", JSON.stringify(tinyGPT))];
  await run(["train", "dates", "--config", transformer, "--steps", "2", "--out", dates]);
  await run(["train", "text", "--data", file("book.txt", text), "--config", gpt, "--out", book]);
  const trained = await run(["train", "text", "--preset", "llama-cpu", "--data", path("book.txt"), "--config", file("llama.json", JSON.stringify(tinyLlama)), "--out", llama, "--json"]);
  expect(trained).toMatchObject({ code: 0, json: { steps: 24, ended: "steps" } });
}, 120_000);

describe("heed translate", () => {
  it("prints the same lines for arguments, stdin and a file, and an empty line for an empty one", async () => {
    const texts = ["3.3.19", "", "the third of March 2019"];
    const byArguments = await run(["translate", "--model", dates, ...texts]);
    expect(byArguments).toMatchObject({ code: 0, stderr: "" });
    expect(byArguments.stdout.split("\n")).toHaveLength(4);
    expect(byArguments.stdout.split("\n")[1]).toBe("");
    expect((await run(["translate", "--model", dates], { stdin: texts.join("\n") })).stdout).toBe(byArguments.stdout);
    expect((await run(["translate", "--model", dates, "--file", file("in.txt", texts.join("\n"))])).stdout).toBe(byArguments.stdout);
  });

  it("handles a byte order mark and \\r\\n on stdin as in a file, and prints a blank line for a blank line", async () => {
    const { stdout } = await run(["translate", "--model", dates, "3.3.19", "", "4.4.20"]);
    const input = "\ufeff3.3.19\r\n  \r\n4.4.20";
    expect((await run(["translate", "--model", dates], { stdin: input })).stdout).toBe(stdout);
    expect((await run(["translate", "--model", dates, "--file", file("marked.txt", input)])).stdout).toBe(stdout);
  });

  it("refuses stdin that is not UTF-8, naming the line", async () => {
    const { code, stderr } = await run(["translate", "--model", dates], { stdin: Buffer.concat([Buffer.from("3.3.19\n3."), Buffer.of(0xff)]) });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "heed: stdin, line 2: not UTF-8\n" });
  });

  it("refuses a line of more than 1 MiB on stdin, once it has read that much", async () => {
    let read = 0;
    const chunks = function* (): Iterable<string> {
      yield "3.3.19\n";
      for (; read < 40; read++) yield "x".repeat(2 ** 18);
    };
    const { code, stderr } = await run(["translate", "--model", dates], { stdin: chunks() });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "heed: stdin, line 2: longer than 1 MiB; split it into shorter lines\n" });
    expect(read).toBeLessThan(30); // a stream reads a few chunks ahead
  });

  it("copies the bytes of a long line on stdin once, however many chunks they arrive in", async () => {
    const concat = vi.spyOn(Buffer, "concat");
    const chunks = Array.from({ length: 2 ** 10 }, () => " ".repeat(2 ** 9));
    expect(await run(["translate", "--model", dates], { stdin: [...chunks, "\n3.3.19\n"] })).toMatchObject({ code: 0, stderr: "" });
    const copied = concat.mock.calls.reduce((sum, [parts]) => parts.reduce((bytes, part) => bytes + part.length, sum), 0);
    concat.mockRestore();
    expect(copied).toBe(2 ** 19 + "3.3.19".length);
  });

  it("--json ends with all translations in one object", async () => {
    const { json, stdout } = await run(["translate", "--model", dates, "--json", "3.3.19", "4.4.20"]);
    expect(json).toEqual({ translations: stdout.split("\n").slice(0, 2) });
  });

  it("refuses a model that continues text, naming its folder", async () => {
    for (const model of [book, llama]) {
      expect(await run(["translate", "--model", model, "a"])).toMatchObject({ code: 1, stderr: `heed: ${model} contains a language model, which cannot translate; use heed generate\n` });
    }
  });

  it("names the text that is too long", async () => {
    const { code, stderr } = await run(["translate", "--model", dates], { stdin: `3.3.19\n${"x".repeat(50)}\n` });
    expect(code).toBe(1);
    expect(stderr).toBe("heed: stdin, line 2 has 50 tokens, but the model takes at most 40; split it into shorter texts\n");
  });
});

describe.each([["gpt", book], ["llama", llama]])("heed generate with a %s", (_, model) => {
  const generate = (...more: string[]) => run(["generate", "--model", model, "--prompt", "the ", "--max", "40", ...more]);

  it("prints the prompt and --max tokens, the same for the same seed", async () => {
    const first = await generate("--seed", "1", "--temperature", "0.8", "--top-k", "10");
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toMatch(/^the [^]{40}\n$/);
    expect((await generate("--seed", "1", "--temperature", "0.8", "--top-k", "10")).stdout).toBe(first.stdout);
    expect((await generate("--seed", "2", "--temperature", "0.8", "--top-k", "10")).stdout).not.toBe(first.stdout);
  });

  it("at temperature 0 or --top-k 1 takes the most likely token whatever the seed", async () => {
    const greedy = await generate("--temperature", "0");
    expect((await generate("--top-k", "1", "--seed", "9")).stdout).toBe(greedy.stdout);
  });

  it("--json ends with the text and its speed in one object", async () => {
    const { json } = await generate("--json");
    expect(json).toMatchObject({ prompt: "the ", tokens: 40 });
    expect(json.text).toHaveLength(40);
    expect(json.tokensPerSecond).toBeTypeOf("number");
  });
});

describe("heed eval", () => {
  it("gives the exact match for dates without further arguments", async () => {
    const { code, json } = await run(["eval", "--model", dates, "--json"]);
    expect(code).toBe(0);
    expect(json).toEqual({ exactMatch: expect.any(Number) as number, dates: 1000 });
  });

  it.each([["gpt", book], ["llama", llama]])("gives a %s's loss and perplexity on a text, predicting every token but the first once", async (_, model) => {
    const { json } = await run(["eval", "--model", model, "--data", path("book.txt"), "--json"]);
    expect(json).toEqual({ loss: expect.any(Number) as number, perplexity: Math.exp(json.loss as number), tokens: text.length - 1 });
  });

  it("advises the options that suit the model if it is given those of the other kind", async () => {
    const source = file("one.de", "3.3.19\n");
    expect(await run(["eval", "--model", dates, "--data", path("book.txt")])).toMatchObject({ code: 1, stderr: `heed: ${dates} contains a translation model, which cannot continue text; evaluate it with --source and --target\n` });
    expect(await run(["eval", "--model", book, "--source", source, "--target", source])).toMatchObject({ code: 1, stderr: `heed: ${book} contains a language model, which cannot translate; evaluate it with --data\n` });
  });

  it("refuses --source without --target", async () => {
    expect(await run(["eval", "--model", dates, "--source", "x"])).toMatchObject({ code: 1, stderr: "heed: eval: --source and --target must be given together\n" });
  });
});

describe("heed inspect", () => {
  it("lists a safetensors file's tensors", async () => {
    const { stdout } = await run(["inspect", `${book}/model.safetensors`]);
    expect(stdout).toContain("model.safetensors: 9 tensors, ");
    expect(stdout).toMatch(/embedding\.weight +F32 +\[16, 16\] +1\.00 KiB/);
    const { json } = await run(["inspect", `${book}/model.safetensors`, "--json"]);
    expect((json.tensors as unknown[])[0]).toEqual({ name: "embedding.weight", dtype: "F32", shape: [16, 16], elements: 256, bytes: 1024 });
  });

  it.each([["gpt", book], ["llama", llama]])("summarises a checkpoint of a %s", async (type, model) => {
    const { stdout } = await run(["inspect", model]);
    const { json } = await run(["inspect", model, "--json"]);
    expect(json).toMatchObject({ type, task: "text", training: { step: 24, of: 24, seed: 1 } });
    expect(stdout).toContain("after step 24 of 24; best validation loss ");
  });

  it("lists a core's exports, and no imports", async () => {
    const { json } = await run(["inspect", "build/heed.simd.wasm", "--json"]);
    expect(json).toMatchObject({ imports: [], exports: expect.arrayContaining([{ name: "run", kind: "function" }]) as unknown });
  });

  it("says what any other file is", async () => {
    const { code, stderr } = await run(["inspect", path("book.txt")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^heed: .*book\.txt: expected a \.safetensors file or a WebAssembly module, got text\n$/);
  });
});
