import { beforeAll, describe, expect, it } from "vitest";
import { GPT } from "../../host/models/gpt";
import type { LanguageModel } from "../../host/models/language";
import { Llama } from "../../host/models/llama";
import { computeGradients } from "../../host/train/evaluate";
import { createRuntime } from "../graph/runtime";
import { logitsOf } from "../models/logits";
import { CONTEXT, createThreads, openSession, randomIds, trained, VOCABULARY } from "./trained";

let originals: Record<"GPT" | "Llama", GPT | Llama>;
beforeAll(async () => (originals = { GPT: await trained.GPT(), Llama: await trained.Llama() }));

const formats = ["int8", "int8row", "int4"] as const;
const cases = (["GPT", "Llama"] as const).flatMap((family) => formats.flatMap((format) => (["simd", "relaxed", "threads"] as const).map((build) => [family, format, build] as const)));

async function place(family: "GPT" | "Llama", format: (typeof formats)[number], build: "simd" | "relaxed" | "threads"): Promise<GPT | Llama> {
  const model = family === "GPT" ? new GPT(originals.GPT.config) : new Llama((originals.Llama as Llama).config);
  model.place(build === "threads" ? await createThreads() : await createRuntime(build), { format });
  model.weights.write(originals[family].weights.read());
  return model;
}

const uncached = (model: LanguageModel, tokens: readonly number[]): Float32Array => logitsOf(model as GPT, { tokens: { shape: [1, tokens.length], data: Int32Array.from(tokens) } });

describe.each(cases)("a %s whose matrices are stored as %s (%s)", (family, format, build) => {
  it("decodes with the bits of a program over the whole sequence, alone, in company, and after a prompt in pieces", async () => {
    const model = await place(family, format, build);
    const prompts = [randomIds(1, 70), [5], randomIds(2, 9), randomIds(3, 100), randomIds(4, 3)];
    const session = openSession(model, { pieces: [16, 64] });
    const rows = await session.open(prompts.map((tokens, seed) => ({ tokens, temperature: 1, seed })));
    const seen = rows.map((): number[] => []);
    for (let step = 0; step < 8; step++) {
      const some = rows.slice(0, 1 + (step % 5));
      await session.step(some);
      some.forEach((row, i) => seen[i]!.push(...session.logits(row)));
    }
    rows.forEach((row, i) => {
      const whole = uncached(model, row.tokens.slice(0, CONTEXT));
      const steps = seen[i]!.length / VOCABULARY;
      expect(seen[i]!.length).toBeGreaterThan(0);
      expect(seen[i]!, `row ${i}`).toEqual([...whole.subarray((row.tokens.length - 1 - steps) * VOCABULARY, (row.tokens.length - 1) * VOCABULARY)]);
    });
    session.dispose();
    const runtime = model.weights.runtime;
    model.dispose();
    await runtime.dispose();
  });
});

it.each(["GPT", "Llama"] as const)("%s: int8 stays within 3 % of the f32 logits, int4 within 30 %", async (family) => {
  const tokens = randomIds(6, 100);
  const exact = uncached(originals[family], tokens);
  const error = async (format: (typeof formats)[number]): Promise<number> => {
    const logits = uncached(await place(family, format, "simd"), tokens);
    return Math.hypot(...logits.map((value, i) => value - exact[i]!)) / Math.hypot(...exact);
  };
  expect(await error("int8")).toBeLessThan(0.03);
  expect(await error("int8row")).toBeLessThan(0.04);
  expect(await error("int4")).toBeLessThan(0.3);
});

it.each(formats)("gradients of what is trained flow through frozen matrices in %s, near those through the same numbers in f32", async (format) => {
  const model = await place("Llama", format, "simd");
  const floats = new Llama((originals.Llama as Llama).config).place(model.weights.runtime, { trainable: (_, { shape }) => shape.length === 1 });
  floats.weights.write(model.weights.read());
  const ids = (seed: number) => ({ shape: [2, 20], data: Int32Array.from([...randomIds(seed, 20), ...randomIds(seed + 1, 20)]) });
  const batch = { tokens: ids(1), targets: ids(3) };
  const [actual, expected] = [computeGradients(model, batch), computeGradients(floats, batch)];
  expect([...actual.gradients.keys()]).toEqual([...expected.gradients.keys()]);
  expect(actual.gradients.size).toBeGreaterThan(0);
  for (const [name, { data }] of actual.gradients) {
    const other = expected.gradients.get(name)!.data;
    expect(Math.hypot(...data.map((value, i) => value - other[i]!)) / Math.hypot(...other), name).toBeLessThan(0.25);
  }
});
