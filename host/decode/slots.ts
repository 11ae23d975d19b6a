import type { Runtime } from "../core/runtime";
import { align, type Block } from "../core/memory";
import { SAMPLER_WORDS, samplerSettings } from "../graph/ops/sampling";
import { State } from "../graph/tensor";
import { BiasTable } from "./bias";
import type { Row } from "./row";

/**
 * The cells of each slot that a step reads and writes. They outlive the run, so the next step continues from them. A row whose cells are
 * already in its slot costs the host nothing.
 */
export class Slots {
  /** i32 [slots, 1]: before a step, the token to read; after it, the token chosen, or −1 if the logits were NaN. */
  readonly ids: State<"i32">;
  /** i32 [slots, 1]: number of tokens stored before the step. */
  readonly past: State<"i32">;
  /** i32 [slots, pages of a row] */
  readonly pages: State<"i32">;
  readonly samplers: State<"i32">;
  readonly sourceLengths: State<"i32">;
  readonly sourcePages: State<"i32">;
  /** What penalties and biases need; undefined until a row has any. */
  context: { history: State<"i32">; biases: BiasTable } | undefined;
  private readonly block: Block;
  /** The row whose cells each slot holds, and the bias it uses. */
  private readonly rows: (Row | undefined)[] = [];
  private readonly biases: number[] = [];

  /** @throws HeedError `memory` if they do not fit */
  constructor(
    private readonly runtime: Runtime,
    readonly slots: number,
    rowPages: number,
    sourceRowPages: number,
  ) {
    const columns = [1, 1, rowPages, SAMPLER_WORDS, 1, sourceRowPages];
    const bytes = columns.map((count) => align(4 * slots * count));
    this.block = runtime.memory.allocate(bytes.reduce((sum, size) => sum + size), "session", "cells of the slots");
    const offset = (i: number): number => bytes.slice(0, i).reduce((sum, size) => sum + size, 0);
    const states = columns.map((count, i) => new State(this.block, [slots, count], "i32", offset(i)));
    [this.ids, this.past, this.pages, this.samplers, this.sourceLengths, this.sourcePages] = states as [
      State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">,
    ];
  }

  /**
   * Allocates what penalties and biases need: each slot's tokens, and the biases. Later steps maintain them.
   * @throws HeedError `memory` if they do not fit
   */
  addContext(context: number, vocabulary: number): void {
    if (this.context) return;
    const biases = new BiasTable(this.runtime, vocabulary);
    try {
      const block = this.runtime.memory.allocate(4 * this.slots * (context + 1), "session", "tokens of the slots");
      this.context = { history: new State(block, [this.slots, context + 1], "i32"), biases };
    } catch (error) {
      biases.dispose();
      throw error;
    }
    this.forget();
  }

  /** Writes the rows' cells to the first slots, except those already there. The other slots of a program of `size` idle. */
  arrange(rows: readonly (Row | undefined)[], size: number): void {
    for (let slot = 0; slot < size; slot++) {
      const row = rows[slot];
      if (row && this.rows[slot] === row && !row.isStale && !row.changesSettings) continue;
      this.rows[slot] = row;
      this.ids.write([row?.tokens.at(-1) ?? 0], slot);
      this.past.write([row?.stored ?? 0], slot);
      writeRow(this.pages, slot, row?.pages ?? []);
      writeRow(this.samplers, slot, row ? this.settings(row, slot) : []);
      this.sourceLengths.write([row?.source.length ?? 0], slot);
      writeRow(this.sourcePages, slot, row?.sourcePages ?? []);
      if (row && this.context) writeRow(this.context.history, slot, row.tokens);
    }
    // A slot past `size` that still names one of these rows is out of date: the row has moved.
    const moved = new Set(rows);
    for (let slot = size; slot < this.rows.length; slot++) {
      const row = this.rows[slot];
      if (row && moved.has(row)) this.rows[slot] = undefined;
    }
    for (const row of rows) if (row) row.isStale = row.changesSettings;
  }

  /** Marks every slot as out of date: in a failed step, the cells advance but the rows do not. */
  forget(): void {
    this.rows.fill(undefined);
  }

  dispose(): void {
    this.block.free();
    this.context?.history.block.free();
    this.context?.biases.dispose();
  }

  private settings(row: Row, slot: number): Int32Array {
    const { temperature, topK, topP, minP, typicalP, seed } = row.sampler;
    const { repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNGram } = row.sampler;
    const before = this.biases[slot] ?? 0;
    const bias = this.context?.biases.take(row.sampler, row.isEarly) ?? 0;
    this.context?.biases.release(before);
    this.biases[slot] = bias;
    return samplerSettings({
      temperature, topK, topP, minP, typicalP, seed, repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNGram, bias,
      step: row.draws, prompt: Math.max(0, row.tokens.length - row.generated), forced: row.forced === undefined ? 0 : row.forced + 1,
    });
  }
}

/** Writes a slot's row of a state, padded with zeros. */
function writeRow(state: State<"i32">, slot: number, values: ArrayLike<number>): void {
  const columns = state.shape[1]!;
  const row = new Int32Array(columns);
  row.set(values);
  state.write(row, slot * columns);
}
