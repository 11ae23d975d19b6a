import { HeedError } from "../errors";
import type { Compiled } from "../graph/cache";
import { count as positive } from "../fields";
import type { DecoderModel } from "../models/decoding";
import type { PagePool } from "./pages";
import type { DecodingPrograms, StepTensors } from "./programs";
import type { Row } from "./row";
import { sizeFor } from "./size";

/** A token that could follow one of a group of rows. */
export interface Extension {
  /** The index in the group of the row that it extends. */
  readonly parent: number;
  readonly id: number;
  /** The row's score plus the token's log-probability. */
  readonly score: number;
}

/** Runs a session's steps. The session has checked the rows. */
export class Steps {
  /** The rows of the last step, and its program. */
  private last: { rows: readonly Row[]; step: Compiled<StepTensors> } | undefined;

  constructor(
    private readonly model: DecoderModel,
    private readonly pool: PagePool,
    private readonly programs: DecodingPrograms,
  ) {}

  /** Reads each row's last token and appends the one that its sampler chooses. */
  choose(rows: readonly Row[]): number[] {
    if (rows.length === 0) return [];
    for (const row of rows) this.makeRoom("step", row);
    const size = sizeFor(rows.length);
    const step = this.programs.step(size);
    const { program, tensors } = step;
    this.programs.slots.arrange(rows, size);
    this.last = undefined;
    program.run();
    const { ids } = this.programs.slots;
    const chosen = [...ids.block.i32(0, rows.length)];
    const broken = chosen.findIndex((id) => id < 0);
    if (broken >= 0) throw this.notNumbers("step", rows, broken);
    const losses = tensors.losses && program.read(tensors.losses);
    const scores = tensors.best && program.read(tensors.best.scores);
    const tokens = tensors.best && program.read(tensors.best.tokens);
    const N = tokens ? tokens.length / size : 0;
    rows.forEach((row, i) => {
      row.stored = row.tokens.push(chosen[i]!) - 1;
      row.draws++;
      row.generated++;
      if (losses) row.logProbability = -losses[i]!;
      if (tokens) row.alternatives = Array.from({ length: N }, (_, n) => ({ id: tokens[i * N + n]!, logProbability: scores![i * N + n]! }));
    });
    this.last = { rows: [...rows], step };
    return chosen;
  }

  /** Reads each row's last token and finds the best extensions of each group. */
  extend(groups: readonly (readonly Row[])[], scores: readonly (readonly number[])[], width: number, count: number): Extension[][] {
    checkGroups(groups, scores, width, count);
    const rows = groups.flat();
    if (rows.length === 0) return groups.map(() => []);
    const size = Math.min(sizeFor(groups.length), Math.floor(this.programs.slots.slots / width));
    if (size < groups.length || groups.some((group) => group.length > width)) {
      const most = Math.floor(this.programs.slots.slots / width);
      throw new RangeError(`expand: expected at most ${most} groups of at most ${width} rows, got ${groups.length} groups`);
    }
    for (const row of rows) this.makeRoom("expand", row);
    const { program, tensors } = this.programs.expand(size, width, count);
    const before = new Float32Array(size * width).fill(-Infinity);
    groups.forEach((_, g) => before.set(scores[g]!, g * width));
    this.programs.slots.arrange(groups.flatMap((group) => Array.from({ length: width }, (_, i) => group[i])), size * width);
    this.last = undefined;
    program.write(tensors.scores, before);
    program.run();
    const { extensions } = tensors;
    const [values, ids, parents] = [program.read(extensions.scores), program.read(extensions.tokens), program.read(extensions.parents)];
    const found = groups.map((group, g) => {
      const at = g * count;
      if (Number.isNaN(values[at]!)) throw this.notNumbers("expand", rows, rows.indexOf(group[0]!));
      const length = [...ids.subarray(at, at + count)].filter((id) => id >= 0).length;
      return Array.from({ length }, (_, i) => ({ parent: parents[at + i]!, id: ids[at + i]!, score: values[at + i]! }));
    });
    for (const row of rows) row.stored = row.tokens.length;
    return found;
  }

  /** The logits of a row of the last step. @throws TypeError if it was not part of it, or another program has run since */
  logits(row: Row): Float32Array {
    const index = this.last?.rows.indexOf(row) ?? -1;
    if (index < 0) throw new TypeError("logits: the row was not part of the session's last step");
    const { program, tensors } = this.last!.step;
    const V = this.model.vocabulary;
    return program.read(tensors.logits).slice(index * V, (index + 1) * V);
  }

  /** Makes room for a row's last token. */
  private makeRoom(verb: string, row: Row): void {
    if (row.tokens.length > this.model.context) throw tooLong(verb, this.model, row.tokens.length);
    this.pool.makeRoom(row, row.tokens.length);
  }

  /** The error for NaN logits. The slots have advanced but the rows have not. */
  private notNumbers(verb: string, rows: readonly Row[], index: number): HeedError {
    this.programs.slots.forget();
    for (const row of rows) row.isStale = true;
    const banned = this.programs.slots.context ? ", or its sampler forbids every token" : "";
    const message = `${verb}: the logits of row ${index} are NaN${banned}; expected finite numbers. Has the model been trained?`;
    return new HeedError("data", message);
  }
}

/** The error for a row that would exceed the model's context. */
export function tooLong(verb: string, { context }: DecoderModel, length: number): RangeError {
  const advice = "truncate it or open a shorter row";
  return new RangeError(`${verb}: the model takes at most ${context} tokens, the row would have ${length}; ${advice}`);
}

/** @throws RangeError unless each row has a score, and width and count are positive integers */
function checkGroups(groups: readonly (readonly Row[])[], scores: readonly (readonly number[])[], width: number, count: number): void {
  for (const [name, value] of Object.entries({ width, count })) {
    if (!positive.accepts(value)) throw new RangeError(`expand: ${name}: expected ${positive.expected}, got ${value}`);
  }
  groups.forEach((group, g) => {
    if (scores[g]?.length === group.length) return;
    throw new RangeError(`expand: group ${g} has ${group.length} rows, got ${scores[g]?.length ?? 0} scores`);
  });
}
