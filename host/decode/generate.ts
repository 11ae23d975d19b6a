import { breathe } from "../core/breathe";
import { HeedError } from "../errors";
import { gatherRows } from "../graph/ops/elementwise";
import { linear } from "../graph/ops/linear";
import { argmax, sample, samplingSettings } from "../graph/ops/sampling";
import { Sampling } from "../../assembly/opcodes";
import type { GPT } from "../models/gpt";
import type { Tensor } from "../graph/tensor";
import { checkIds, type Compiled } from "../models/model";
import { seedKey } from "../seed";
import type { AbortSignalLike } from "../webtypes";

/** How much to generate, and how to choose tokens. */
export interface GenerateOptions {
  /** Tokens to generate. */
  maxTokens: number;
  /** 0: the likeliest token (greedy); towards 1 and above: more variety. 1 by default. */
  temperature?: number;
  /** Draw from this many of the likeliest tokens; all of them by default. */
  topK?: number;
  /** The same seed gives the same tokens. */
  seed?: number;
  /** A row stops at this id. */
  end?: number;
  signal?: AbortSignalLike;
}

/**
 * Continues prompts, one token of every row at a time.
 * A sequence longer than the model's block goes on from its last `block` tokens.
 * @param prompts  token ids, at least one each
 * @returns an iterator over the steps: the next id of each row, or −1 for a row that has ended
 * @throws RangeError for ids outside the vocabulary, empty prompts and settings out of range
 *
 * @example
 * for await (const [id] of generate(model, [tokenizer.encode("ROMEO:")], { maxTokens: 300, temperature: 0.8, topK: 40, seed: 1 })) {
 *   process.stdout.write(tokenizer.decode([id]));
 * }
 */
export async function* generate(model: GPT, prompts: readonly (readonly number[])[], options: GenerateOptions): AsyncGenerator<number[], void> {
  const { maxTokens, temperature = 1, topK = 0, seed = 0, end, signal } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 0) throw new RangeError(`generate: maxTokens must be a whole number, got ${maxTokens}`);
  if (!(temperature >= 0 && temperature < Infinity)) throw new RangeError(`generate: temperature must be 0 or more, got ${temperature}`);
  seedKey(seed);
  if (!Number.isInteger(topK) || topK < 0) throw new RangeError(`generate: topK must be a whole number, got ${topK}`);
  prompts.forEach((prompt, row) => {
    if (prompt.length === 0) throw new RangeError(`generate: prompt ${row} is empty; give at least one token`);
    checkIds(`generate: prompt ${row}`, prompt, model.config.vocabulary);
  });
  const rows = prompts.map((prompt) => [...prompt]);
  const done = new Uint8Array(rows.length);
  for (let step = 0; step < maxTokens && done.includes(0); step++) {
    signal?.throwIfAborted();
    const ids = nextTokens(model, rows, { temperature, topK, seed, step });
    yield ids.map((id, row) => {
      if (id < 0) throw new HeedError("data", `generate: the logits of row ${row} are not numbers (NaN); was the model trained?`);
      if (done[row]) return -1;
      rows[row]!.push(id);
      if (id === end) done[row] = 1;
      return id;
    });
    await breathe();
  }
}

/** Lengths are rounded up to multiples of this, so that a handful of programs serves all. */
const BUCKET = 16;

/** The program that goes on with B sequences of T tokens: its `next` follows the one at `index`, the likeliest if `greedy`, else drawn. */
export const nextTokenProgram = (
  model: GPT, B: number, T: number, greedy: boolean,
): Compiled<{ tokens: Tensor; index: Tensor; settings: Tensor; next: Tensor }> =>
  model.program(`${greedy ? "greedy" : "sample"} ${B}x${T}`, (graph) => {
    const tokens = graph.input([B, T], "i32");
    const index = graph.input([B], "i32");
    const settings = graph.input([Sampling.Bytes / 4], "i32");
    const last = gatherRows(model.forward(tokens), index);
    const next = graph.within("output", () => {
      const logits = linear(last, model.embedding.weight);
      return greedy ? argmax(logits) : sample(logits, settings);
    });
    return { tokens, index, settings, next: graph.keep(next) };
  });

function nextTokens(model: GPT, rows: number[][], { temperature, topK, seed, step }: { temperature: number; topK: number; seed: number; step: number }): number[] {
  const { block } = model.config;
  const B = rows.length;
  const windows = rows.map((row) => row.slice(-block));
  const T = Math.min(block, Math.ceil(Math.max(...windows.map((window) => window.length)) / BUCKET) * BUCKET);
  const greedy = Math.fround(temperature) === 0; // as the core, in f32, would see it
  const { program, tensors } = nextTokenProgram(model, B, T, greedy);
  program.write(tensors.tokens, windows.flatMap((window) => [...window, ...new Array<number>(T - window.length).fill(0)]));
  program.write(tensors.index, windows.map((window) => window.length - 1));
  program.write(tensors.settings, samplingSettings(temperature, topK));
  program.seed(seed, step);
  program.run();
  return [...program.read(tensors.next)];
}
