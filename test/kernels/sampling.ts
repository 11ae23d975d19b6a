import { SampleScratch } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { samplerSettings, type SamplerSettings } from "../../host/graph/ops/sampling";
import type { Core } from "./core";

/** A row of `Sample` or `ExtendBeams`. */
export interface SampledRow {
  logits: ArrayLike<number>;
  settings?: Partial<SamplerSettings>;
  /** The row's tokens; `generated` of them have been generated. */
  tokens?: readonly number[];
  generated?: number;
  /** Values to add to the logits, by id. */
  bias?: readonly (readonly [id: number, value: number])[];
}

/** Room for tokens in each row's history. */
const L = 24;

/** The operands that rows have in common in both kernels: their logits, settings, histories and biases. */
export function rowOperands(core: Core, rows: readonly SampledRow[], threads: number) {
  const V = rows[0]!.logits.length;
  const history = new Int32Array(rows.length * L).fill(-1); // past a row's tokens, reads would be out of bounds
  const bias = new Float32Array(rows.length * V);
  const words = rows.flatMap(({ settings, tokens = [0], generated = 0, bias: values }, r) => {
    history.set(tokens, r * L);
    for (const [id, value] of values ?? []) bias[r * V + id] = value;
    const defaults = { temperature: 1, topK: 0, seed: 0, prompt: tokens.length - generated, bias: values ? r + 1 : 0 };
    return [...samplerSettings({ ...defaults, ...settings })];
  });
  return {
    logits: core.input(Float32Array.from(rows.flatMap(({ logits }) => [...Array.from(logits)]))),
    settings: core.input(Int32Array.from(words)), history: core.input(history),
    past: core.input(Int32Array.from(rows, ({ tokens = [0] }) => tokens.length - 1)), bias: core.input(bias),
    scratch: core.output((threads * (SampleScratch.Base + SampleScratch.PerToken * V)) / 4), V, L,
  };
}

/** One token for each row, and the histories afterwards. */
export function sampleRows(core: Core, rows: readonly SampledRow[], threads = 1): { chosen: number[]; histories: number[][] } {
  core.reset();
  const out = core.output(rows.length, "i32");
  const operands = rowOperands(core, rows, threads);
  core.run(Op.Sample, { out, ...operands, R: rows.length }, threads);
  const histories = operands.history.read();
  return { chosen: [...out.read()], histories: rows.map((_, r) => [...histories.subarray(r * L, (r + 1) * L)]) };
}
