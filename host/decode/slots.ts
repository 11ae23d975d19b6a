import type { Runtime } from "../core/runtime";
import { align, type Block } from "../core/memory";
import { SAMPLER_WORDS, samplerSettings } from "../graph/ops/sampling";
import { State } from "../graph/tensor";
import type { Row } from "./row";

/**
 * What a step reads and writes of each slot: cells that outlive the run, so that the next step continues from them by itself. A row whose
 * cells are in their slot costs the host nothing.
 */
export class Slots {
  /** i32 [slots, 1]: the token that the step reads, and afterwards the one that it chose; −1 where the logits were not numbers. */
  readonly ids: State<"i32">;
  /** i32 [slots, 1]: tokens stored before the step. */
  readonly past: State<"i32">;
  /** i32 [slots, pages of a row] */
  readonly pages: State<"i32">;
  readonly samplers: State<"i32">;
  readonly sourceLengths: State<"i32">;
  readonly sourcePages: State<"i32">;
  private readonly block: Block;
  /** Whose cells each slot holds. */
  private readonly rows: (Row | undefined)[] = [];

  /** @throws HeedError `memory` when they do not fit */
  constructor(runtime: Runtime, slots: number, rowPages: number, sourceRowPages: number) {
    const columns = [1, 1, rowPages, SAMPLER_WORDS, 1, sourceRowPages];
    const bytes = columns.map((count) => align(4 * slots * count));
    this.block = runtime.memory.allocate(bytes.reduce((sum, size) => sum + size), "session", "cells of the slots");
    const offsetOf = (i: number): number => bytes.slice(0, i).reduce((sum, size) => sum + size, 0);
    const states = columns.map((count, i) => new State(this.block, [slots, count], "i32", offsetOf(i)));
    [this.ids, this.past, this.pages, this.samplers, this.sourceLengths, this.sourcePages] = states as [
      State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">, State<"i32">,
    ];
  }

  /** Puts the rows' cells into the first slots, as far as they are not there; the other slots of a program of `size` idle. */
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
    // A row that another slot still names has moved: what that slot holds is out of date from now on.
    for (let slot = size; slot < this.rows.length; slot++) {
      if (this.rows[slot] && rows.includes(this.rows[slot]!)) this.rows[slot] = undefined;
    }
    for (const row of rows) row.isStale = false;
  }

  /** Takes every slot's cells for out of date: those of a step that failed went on without their rows. */
  forget(): void {
    this.rows.fill(undefined);
  }

  dispose(): void {
    this.block.free();
  }
}

/** Writes a slot's row of a state, zeros behind the values. */
function writeRow(state: State<"i32">, slot: number, values: ArrayLike<number>): void {
  const columns = state.shape[1]!;
  const row = new Int32Array(columns);
  row.set(values);
  state.write(row, slot * columns);
}
