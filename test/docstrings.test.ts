import { readFileSync } from "node:fs";
import { ModuleKind, ScriptTarget, transpile } from "typescript";
import { describe, expect, it } from "vitest";
import * as heed from "../host/index";
import * as data from "../host/data/index";
import * as io from "../host/io/index";
import * as node from "../host/node";
import { byName, examples, exportsOf, host, pages } from "./documented";
import { createRuntime } from "./graph/runtime";

/** The variables that examples assume: a graph to record ops in, small models, a folder with a checkpoint, a few texts. */
async function given(file: string): Promise<Record<string, unknown>> {
  const runtime = await createRuntime();
  const tokenizer = data.CharacterTokenizer.of(["the third of March 2019 ROMEO: 3.3.19"], { specials: data.SPECIALS });
  const specials = { pad: 0, bos: 1, eos: 2 };
  const pair = { source: tokenizer.encode("3.3.19"), target: tokenizer.encode("2019") };
  const small = { vocabulary: tokenizer.size, heads: 2, width: 8, hidden: 8 };
  const transformer = new heed.Transformer({ ...small, maxLength: 32, encoderLayers: 1, decoderLayers: 1 }).place(runtime);
  const gpt = new heed.GPT({ ...small, block: 16, layers: 1 }).place(runtime);
  const files = new heed.MemoryFiles();
  await io.saveModel(files, "runs/dates", { model: transformer, tokenizer });
  await files.write("heed.turbo.wasm", readFileSync(`${host}../build/heed.turbo.wasm`));
  return {
    runtime, tokenizer, files, nodeFiles: file === "platform/node-files.ts" ? node.nodeFiles : files,
    graph: new heed.Graph(runtime),
    model: ["generate", "score", "stream"].some((name) => file === `decode/${name}.ts`) ? gpt : transformer,
    data: { batch: () => data.pairBatch([pair], specials) },
    batches: [data.pairBatch([pair], specials)],
    tensors: new Map([["bias", { dtype: "F32", shape: [1], data: Float32Array.of(1) }]]),
    encoderJSON: JSON.stringify({ l: 0, o: 1, lo: 2, "<|endoftext|>": 3 }), vocabBPE: "#version: 0.2\nl o\n",
    console: { log: () => {}, error: () => {} }, process: { stdout: { write: () => true } },
  };
}

const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => (...values: unknown[]) => Promise<void>;
const LITERAL = /^(?:(?:\w+Array )?[[{"'\d-]|true\b|false\b|undefined\b)/;

/** The value that a comment states: its longest prefix that is a literal expression. Undefined if the comment is only an explanation. */
function promised(comment: string): string | undefined {
  if (!LITERAL.test(comment)) return undefined;
  const literal = comment.replace(/^\w+Array (?=\[)/, "").replaceAll(/\b0x/g, "0x");
  for (let end = literal.length; end > 0; end--) {
    const text = literal.slice(0, end);
    if (end < literal.length && !/^\s*[:;(]/.test(literal.slice(end))) continue;
    try {
      new Function(`return (${text}\n)`)();
      return text;
    } catch {
      // not an expression: try a shorter prefix
    }
  }
  return undefined;
}

/** Compares with the precision given in the comment. */
function check(actual: unknown, expected: unknown, comment: string): void {
  if (typeof expected === "number" && !Number.isInteger(expected)) return expect(actual, comment).toBeCloseTo(expected, String(expected).split(".")[1]?.length ?? 6);
  expect(ArrayBuffer.isView(actual) ? Array.from(actual as Float32Array) : actual, comment).toEqual(expected);
}

/** `x.size; // 6` and `console.log(x.size); // 6` become checks. */
const instrument = (code: string): string =>
  code
    .split("\n")
    .map((line) => {
      const [, expression, comment] = /^(?!const |let |for |import )(.+); *\/\/ *(.+)$/.exec(line) ?? [];
      const value = comment && promised(comment);
      if (!value) return line;
      return `check(await (${/^console\.log\((.*)\)$/.exec(expression!)?.[1] ?? expression}), (${value}), ${JSON.stringify(line)});`;
    })
    .join("\n");

describe("docstrings", () => {
  it.each(Object.entries(pages))("of %s: every export has one", (_, file) => {
    expect(exportsOf(file).length).toBeGreaterThan(0);
    expect(exportsOf(file).filter((name) => !byName.has(name))).toEqual([]);
  });

  it.each(Object.entries(pages))("of %s: every function and class has an example", (_, file) => {
    const callable = exportsOf(file).map((name) => byName.get(name)!).filter(({ kind }) => kind === "function" || kind === "class");
    expect(callable.filter(({ example }) => example === "").map(({ name }) => name)).toEqual([]);
  });

  it("state the result in more than half of the examples, so that it is checked", () => {
    expect(examples.filter(({ code }) => instrument(code).includes("check(await")).length).toBeGreaterThan(examples.length / 2);
  });

  it.each(examples)("$file: the example of $name runs, with the results that it states", async ({ file, code }) => {
    const module = (await import(/* @vite-ignore */ `../host/${file}`)) as object;
    const scope = { ...heed, ...data, ...io, ...node, ...module, ...(await given(file)), check };
    const script = transpile(`{ ${instrument(code)}\n}`, { target: ScriptTarget.ES2022, module: ModuleKind.ESNext });
    const run = new AsyncFunction(...Object.keys(scope), script);
    await run(...Object.values(scope));
  });
});
