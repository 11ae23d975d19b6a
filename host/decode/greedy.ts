import { breathe } from "../core/breathe";
import { HeedError } from "../errors";
import { gatherRows } from "../graph/ops/elementwise";
import { linear } from "../graph/ops/linear";
import { argmax } from "../graph/ops/sampling";
import type { Tensor } from "../graph/tensor";
import { checkIds, type Compiled } from "../models/model";
import { PADDING, type Transformer } from "../models/transformer";
import type { AbortSignalLike } from "../webtypes";

/** Where translations start and end. */
export interface GreedyOptions {
  /** The id that starts a target, and the one that ends it. */
  start: number;
  end: number;
  /** Most tokens of a target, `end` included; the model's maximum by default. */
  maxTokens?: number;
  signal?: AbortSignalLike;
}

/** Lengths are rounded up to multiples of this, so that a handful of programs serves all. */
const BUCKET = 8;
const bucket = (length: number, limit: number): number => Math.min(limit, Math.ceil(length / BUCKET) * BUCKET);

/**
 * Translates a batch of sources by taking the likeliest token at each step (greedy decoding).
 * @param sources  token ids; rows may differ in length
 * @returns the targets' ids, without `start` and `end`
 * @throws RangeError for ids outside the vocabulary, sources longer than the model takes and settings out of range
 *
 * @example
 * const [ids] = await greedy(model, [tokenizer.encode("the third of March 2019")], { start: 1, end: 2 });
 */
export async function greedy(model: Transformer, sources: readonly (readonly number[])[], options: GreedyOptions): Promise<number[][]> {
  const { vocabulary, maxLength } = model.config;
  const { start, end, signal } = options;
  const maxTokens = Math.min(options.maxTokens ?? maxLength, maxLength);
  if (!Number.isInteger(maxTokens) || maxTokens < 0) throw new RangeError(`greedy: maxTokens must be a whole number, got ${options.maxTokens}`);
  checkIds("greedy: start", [start], vocabulary);
  checkIds("greedy: end", [end], vocabulary);
  sources.forEach((source, row) => {
    if (source.length < 1 || source.length > maxLength) {
      throw new RangeError(`greedy: source ${row} has ${source.length} tokens; the model takes 1 to ${maxLength}`);
    }
    checkIds(`greedy: source ${row}`, source, vocabulary);
  });
  if (sources.length === 0) return [];

  const B = sources.length;
  const S = bucket(Math.max(...sources.map((source) => source.length)), maxLength);
  const lengths = sources.map((source) => source.length);
  const memory = encode(model, pad(sources, S), lengths, S);
  const targets = sources.map(() => [start]);
  const done = new Uint8Array(B);
  for (let step = 1; step <= maxTokens && done.includes(0); step++) {
    signal?.throwIfAborted();
    const next = nextTokens(model, targets, memory, lengths, { S, T: bucket(step, maxLength), step });
    next.forEach((id, row) => {
      if (id < 0) throw new HeedError("data", `greedy: the logits for source ${row} are not numbers (NaN); was the model trained?`);
      if (done[row] || id === end) done[row] = 1;
      targets[row]!.push(done[row] ? PADDING : id);
    });
    await breathe();
  }
  return targets.map((target) => target.slice(1).filter((id) => id !== PADDING));
}

const pad = (rows: readonly (readonly number[])[], length: number): number[] =>
  rows.flatMap((ids) => [...ids, ...new Array<number>(length - ids.length).fill(PADDING)]);

/** The program that encodes B sources of S tokens. */
export const encodeProgram = (model: Transformer, B: number, S: number): Compiled<{ source: Tensor; lengths: Tensor; memory: Tensor }> =>
  model.program(`encode ${B}x${S}`, (graph) => {
    const source = graph.input([B, S], "i32");
    const lengths = graph.input([B], "i32");
    return { source, lengths, memory: graph.keep(model.encode(source, lengths)) };
  });

/** The program that goes on with targets of T tokens: its `next` is the likeliest after the one at `index`. */
export const decodeProgram = (
  model: Transformer, B: number, S: number, T: number,
): Compiled<{ target: Tensor; index: Tensor; memory: Tensor; lengths: Tensor; next: Tensor }> =>
  model.program(`decode ${B}x${S}x${T}`, (graph) => {
    const target = graph.input([B, T], "i32");
    const index = graph.input([B], "i32");
    const memory = graph.input([B, S, model.config.width]);
    const lengths = graph.input([B], "i32");
    const last = gatherRows(model.decode(target, memory, lengths), index);
    const next = graph.within("output", () => argmax(linear(last, model.embedding.weight)));
    return { target, index, memory, lengths, next: graph.keep(next) };
  });

/** Runs the encoder once: the memory [B, S, C] that every step attends to. */
function encode(model: Transformer, source: number[], lengths: number[], S: number): Float32Array {
  const { program, tensors } = encodeProgram(model, lengths.length, S);
  program.write(tensors.source, source);
  program.write(tensors.lengths, lengths);
  program.run();
  return program.read(tensors.memory) as Float32Array;
}

/** The likeliest next token of each target. The decoder runs over the whole prefix; a later release keeps its keys and values. */
function nextTokens(
  model: Transformer, targets: number[][], memory: Float32Array, lengths: number[], { S, T, step }: { S: number; T: number; step: number },
): number[] {
  const B = targets.length;
  const { program, tensors } = decodeProgram(model, B, S, T);
  program.write(tensors.target, pad(targets, T));
  program.write(tensors.index, new Array<number>(B).fill(step - 1));
  program.write(tensors.memory, memory);
  program.write(tensors.lengths, lengths);
  program.run();
  return [...program.read(tensors.next)];
}
