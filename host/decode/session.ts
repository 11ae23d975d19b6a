import { checkConfig, count, type FieldsByName, flag, optional, type RequiredField } from "../fields";
import { type DecoderModel, expectDecoder, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { Weights } from "../nn/weights";
import type { AbortSignalLike } from "../webtypes";
import { OpenRows } from "./openrows";
import { PagePool } from "./pages";
import { isEqual, Prefill } from "./prefill";
import { DecodingPrograms } from "./programs";
import { checkPrompts, expectIdList, type Prompt } from "./prompt";
import { Row } from "./row";
import { checkSampler, needsContext, type Sampler } from "./sampler";
import { sizeFor } from "./size";
import { type Extension, Steps, tooLong } from "./steps";

/** Options of a session. */
export interface SessionOptions {
  /** Maximum number of open rows; 64 by default. */
  rows?: number;
  /** Steps report the log-probability of each token they choose, and this many of the most likely tokens; by default, neither. */
  alternatives?: number;
  /** Prompts are split into pieces of these lengths, each with its own program; 16, 64 and 256 tokens by default. */
  pieces?: readonly number[];
  /** Fill pages with NaN when they are taken or released, so that tests detect stale reads; false by default. */
  poison?: boolean;
}

const lengths = {
  expected: "a list of integers of at least 1", isType: Array.isArray,
  accepts: (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(count.accepts),
};
/** More than 100 would make the insertion in `extendBeams` slow. */
const few: RequiredField = {
  expected: "an integer from 0 to 100", isType: (value) => typeof value === "number",
  accepts: (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 100,
};
const fields: FieldsByName = { rows: optional(count), alternatives: optional(few), pieces: optional(lengths), poison: optional(flag) };

/**
 * Decoding with a key-value cache: the basis of greedy search, beam search, sampling and custom decoders.
 *
 * A row is a sequence whose last token is read by the next step. The keys and values of all earlier tokens are stored in pages of 64
 * tokens, which rows with a common prefix share. A row's results are bit-identical whichever rows are decoded with it, and however its
 * prompt is split into pieces.
 *
 * @example
 * const session = new Session(model);
 * const [row] = await session.open([{ source: [5, 6, 7], tokens: [1] }]); // a decoder-only model takes only tokens
 * for (let i = 0; i < 5; i++) await session.step([row!]);
 * row!.tokens.length; // 6
 * session.dispose();
 */
export class Session<M extends DecoderModel = DecoderModel> {
  /** Maximum number of open rows. */
  readonly rows: number;
  private readonly weights: Weights;
  private readonly pool: PagePool;
  readonly programs: DecodingPrograms;
  private readonly prefill: Prefill;
  private readonly steps: Steps;
  private readonly openRows: OpenRows;
  private disposed = false;

  /** @throws TypeError or RangeError for invalid options; HeedError `memory` if the session does not fit */
  constructor(
    readonly model: M,
    options: SessionOptions = {},
  ) {
    expectDecoder("Session", model);
    checkConfig("Session", options, fields);
    const { rows = 64, pieces = [16, 64, 256], poison = false, alternatives } = options;
    this.rows = rows;
    this.openRows = new OpenRows(rows);
    this.weights = model.weights;
    this.pool = new PagePool(this.weights.runtime, model.pageLayout, poison);
    try {
      this.programs = new DecodingPrograms(model, this.pool, sizeFor(rows), alternatives);
    } catch (error) {
      this.pool.dispose();
      throw error;
    }
    this.prefill = new Prefill(model, this.pool, this.programs, pieces);
    this.steps = new Steps(model, this.pool, this.programs);
  }

  /**
   * Opens a row for each prompt: encodes its source, and stores the keys and values of all its tokens but the last. What a prompt has in
   * common with another one, or with an open row, is not computed again.
   * @param signal  aborts between two pieces and closes the new rows
   * @throws RangeError for prompts that are empty or too long, ids outside the vocabulary and too many rows; TypeError for unknown fields
   */
  async open(prompts: readonly Prompt[], { signal }: { signal?: AbortSignalLike } = {}): Promise<Row[]> {
    this.expectAlive();
    const rows = checkPrompts("open", this.model, prompts);
    this.openRows.expectRoom("open", rows.length);
    if (rows.some(({ sampler }) => needsContext(sampler))) this.addContext();
    // Pages of open rows are shared at once, because those rows may be closed while this method waits.
    const encoded = [...this.openRows].filter(({ sourcePages }) => sourcePages.length > 0);
    const unknown: Row[] = [];
    const twins = new Map<Row, Row>();
    for (const row of rows) {
      const hasSameSource = ({ source }: Row): boolean => isEqual(source, row.source);
      const twin = unknown.find(hasSameSource);
      const open = encoded.find(hasSameSource);
      if (open) this.prefill.shareSource(row, open);
      else if (twin) twins.set(row, twin);
      else unknown.push(row);
      this.openRows.add(row);
    }
    try {
      if (hasSource(this.model)) await this.prefill.encode(unknown, signal);
      for (const row of rows) {
        this.prefill.shareSource(row, twins.get(row));
        this.prefill.sharePrefix(row, this.openRows);
        await this.prefill.store(row, signal);
      }
    } catch (error) {
      for (const row of rows) this.close(row);
      throw error;
    }
    return rows;
  }

  /**
   * Appends tokens to a row, as if they had been part of its prompt.
   * @param signal  aborts between two pieces and restores the row
   * @throws RangeError for ids outside the vocabulary, and if the row would exceed the model's context
   */
  async append(row: Row, tokens: readonly number[], { signal }: { signal?: AbortSignalLike } = {}): Promise<void> {
    this.expectAlive();
    this.openRows.expectReady("append", [row]);
    expectIdList("append", tokens);
    checkIds("append", tokens, this.model.vocabulary);
    const before = row.tokens.length;
    const { generated } = row;
    if (before + tokens.length > this.model.context) throw tooLong("append", this.model, before + tokens.length);
    for (const token of tokens) row.tokens.push(token);
    if (tokens.length > 0) row.generated = 0;
    try {
      await this.prefill.store(row, signal);
    } catch (error) {
      if (row.isOpen) this.keepFirst(row, before);
      row.generated = generated;
      throw error;
    }
  }

  /**
   * Reads each row's last token and appends the one that follows it, chosen by the row's sampler.
   * @returns the chosen ids, in the order of the rows
   * @throws RangeError if a row has reached the model's context; HeedError `data` if its logits are NaN, which leaves the rows unchanged
   */
  async step(rows: readonly Row[]): Promise<number[]> {
    this.expectAlive();
    this.openRows.expectReady("step", rows);
    return this.steps.choose(rows);
  }

  /**
   * Reads each row's last token and finds the tokens that could follow, for beam search: the `count` best extensions of each group of rows,
   * in descending order of their scores. Each row then waits for `choose`, or is closed.
   * @param groups  groups of at most `width` rows
   * @param scores  the score of each row
   * @throws RangeError if a row has reached the model's context, or the number of scores is wrong; HeedError `data` if its logits are NaN,
   *   which leaves the rows unchanged
   */
  async expand(
    groups: readonly (readonly Row[])[], scores: readonly (readonly number[])[], { width, count: N }: { width: number; count: number },
  ): Promise<Extension[][]> {
    const rows = groups.flat();
    this.expectAlive();
    this.openRows.expectReady("expand", rows);
    if (!count.accepts(width)) throw new RangeError(`expand: width: expected ${count.expected}, got ${width}`);
    if (!count.accepts(N)) throw new RangeError(`expand: count: expected ${count.expected}, got ${N}`);
    groups.forEach((group, g) => {
      if (scores[g]?.length === group.length) return;
      throw new RangeError(`expand: group ${g} has ${group.length} rows, got ${scores[g]?.length ?? 0} scores`);
    });
    return this.steps.extend(groups, scores, width, N);
  }

  /**
   * Appends a token to a row after `expand`.
   * @throws TypeError unless the row waits for a token; RangeError for an id outside the vocabulary
   */
  choose(row: Row, id: number): void {
    this.expectAlive();
    this.openRows.expectOpen("choose", [row]);
    if (row.stored !== row.tokens.length) throw new TypeError("choose: the row does not wait for a token: call expand first");
    checkIds("choose", [id], this.model.vocabulary);
    row.tokens.push(id);
    row.generated++;
    row.isStale = true; // its slot lacks the token
  }

  /**
   * Creates a second row with the same tokens. The rows share pages; a shared page is copied when one of them writes to it.
   * @param sampler  settings that replace those of the original, such as another seed
   * @throws RangeError if all of the session's rows are open
   */
  fork(row: Row, sampler: Sampler = {}): Row {
    this.expectAlive();
    this.openRows.expectRead("fork", [row]);
    this.openRows.expectRoom("fork", 1);
    const full = checkSampler("fork", { ...row.sampler, ...sampler }, this.model.vocabulary);
    if (needsContext(full)) this.addContext();
    const copy = new Row([...row.tokens], full);
    this.prefill.shareSource(copy, row);
    this.pool.sharePages(copy, row, row.stored);
    Object.assign(copy, { source: row.source, draws: row.draws, generated: row.generated });
    this.openRows.add(copy);
    return copy;
  }

  /**
   * Keeps a row's first n tokens. The next step reads the last of them, and draws the random number after the last one drawn.
   * @throws RangeError unless n is between 1 and the number of tokens
   */
  truncate(row: Row, n: number): void {
    this.expectAlive();
    this.openRows.expectReady("truncate", [row]);
    if (!Number.isInteger(n) || n < 1 || n > row.tokens.length) {
      throw new RangeError(`truncate: expected 1 to ${row.tokens.length} tokens, got ${n}`);
    }
    this.keepFirst(row, n);
  }

  /** Closes a row and releases its pages. Closing a closed row has no effect. */
  close(row: Row): void {
    if (!this.openRows.delete(row)) return;
    row.isOpen = false;
    this.pool.releaseAll(row);
  }

  /**
   * The logits from which a row's last token was chosen, before penalties and biases, f32 [vocabulary].
   * @throws TypeError if the row was not part of the last step, or another program has run since
   */
  logits(row: Row): Float32Array {
    this.expectAlive();
    this.openRows.expectOpen("logits", [row]);
    return this.steps.logits(row);
  }

  /** Closes all rows and releases pages, cells and programs. */
  dispose(): void {
    if (this.disposed) return;
    for (const row of [...this.openRows]) this.close(row);
    this.disposed = true;
    this.programs.dispose();
    this.pool.dispose();
  }

  /** Number of rows that can still be opened. */
  get free(): number {
    return this.rows - this.openRows.size;
  }

  private addContext(): void {
    this.programs.slots.addContext(this.model.context, this.model.vocabulary);
  }

  private expectAlive(): void {
    if (this.disposed) throw new TypeError("the session has been disposed; create a new one");
    if (this.model.weights !== this.weights) {
      throw new TypeError("Session: the model has since been disposed and placed again; create a new session");
    }
  }

  private keepFirst(row: Row, n: number): void {
    row.generated = Math.max(0, row.generated - (row.tokens.length - n));
    row.tokens.length = n;
    this.pool.keepFirst(row, n - 1);
  }
}
