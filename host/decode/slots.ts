import type { Runtime } from "../core/runtime";
import { align, type Block } from "../core/memory";
import { SAMPLER_WORDS, samplerSettings } from "../graph/ops/sampling";
import { State } from "../graph/tensor";
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
  private readonly block: Block;
  /** The row whose cells each slot holds. */
  private readonly rows: (Row | undefined)[] = [];

  /** @throws HeedError `memory` if they do not fit */
  constructor(runtime: Runtime, slots: number, rowPages: number, sourceRowPages: number) {
    const columns = [1, 1, rowPages, SAMPLER_WORDS, 1, sourceRowPages];
    const bytes = columns.map((count) => align(4 * slots * count));
    this.block = runtime.memory.allocate(bytes.reduce((sum, size) => sum + size), "session", "cells of the slots");
    const offset = (i: number): number => bytes.slice(0, i).reduce((sum, size) => sum + size, 0);
    const states = columns.map((count, i) => new State(this.block, [slots, count], "i32", offset(i)));
    [this.ids, this.past, this.pages, this.samplers, this.sourceLengths, this.sourcePages] = states as [
      State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">,
    ];
  }

  /** Writes the rows' cells to the first slots, except those already there. The other slots of a program of `size` idle. */
  arrange(rows: readonly Row[], size: number): void {
    for (let slot = 0; slot < size; slot++) {
      const row = rows[slot];
      if (row && this.rows[slot] === row && !row.isStale) continue;
      this.rows[slot] = row;
      this.ids.write([row?.tokens.at(-1) ?? 0], slot);
      this.past.write([row?.stored ?? 0], slot);
      writeRow(this.pages, slot, row?.pages ?? []);
      writeRow(this.samplers, slot, row ? samplerSettings({ ...row.sampler, step: row.draws }) : []);
      this.sourceLengths.write([row?.sourceLength ?? 0], slot);
      writeRow(this.sourcePages, slot, row?.sourcePages ?? []);
    }
    // A slot past `size` that still names one of these rows is out of date: the row has moved.
    const moved = new Set(rows);
    for (let slot = size; slot < this.rows.length; slot++) {
      const row = this.rows[slot];
      if (row && moved.has(row)) this.rows[slot] = undefined;
    }
    for (const row of rows) row.isStale = false;
  }

  /** Marks every slot as out of date: in a failed step, the cells advance but the rows do not. */
  forget(): void {
    this.rows.fill(undefined);
  }

  dispose(): void {
    this.block.free();
  }
}

/** Writes a slot's row of a state, padded with zeros. */
function writeRow(state: State<"i32">, slot: number, values: ArrayLike<number>): void {
  const columns = state.shape[1]!;
  const row = new Int32Array(columns);
  row.set(values);
  state.write(row, slot * columns);
}
