import { HeedError } from "../errors";
import { type DecoderModel, expectDecoder, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { Weights } from "../nn/weights";
import type { AbortSignalLike } from "../webtypes";
import { OpenRows } from "./openrows";
import { PagePool } from "./pages";
import { Kin, Prefill } from "./prefill";
import { DecodingPrograms } from "./programs";
import { checkPrompts, expectIdList, type Prompt } from "./prompt";
import { Row } from "./row";
import { restoreRows, saveRows } from "./saved";
import { checkSampler, needsContext, type Sampler } from "./sampler";
import { checkSessionOptions, type SessionOptions } from "./sessionoptions";
import { sizeFor } from "./size";
import { type Extension, Steps, tooLong } from "./steps";

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
    checkSessionOptions(options);
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
    const kin = new Kin(this.openRows);
    for (const row of rows) this.openRows.add(row);
    try {
      if (hasSource(this.model)) await this.prefill.encodeAll(rows, kin, signal);
      for (const row of rows) {
        this.prefill.sharePrefix(row, kin.alike(row));
        await this.prefill.store(row, signal);
        kin.add(row);
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
  async append(row: Row, tokens: readonly number[], options: { signal?: AbortSignalLike } = {}): Promise<void> {
    await this.extend(row, tokens, options.signal);
  }

  /**
   * Appends tokens to a row, and computes how likely the model found each of them.
   * @returns the log-probability of each token
   * @throws as `append` does; HeedError `data` if a log-probability is NaN, which leaves the row unchanged
   */
  async score(row: Row, tokens: readonly number[], options: { signal?: AbortSignalLike } = {}): Promise<number[]> {
    const scores: number[] = [];
    await this.extend(row, tokens, options.signal, scores);
    return scores;
  }

  private async extend(row: Row, tokens: readonly number[], signal?: AbortSignalLike, scores?: number[]): Promise<void> {
    this.expectAlive();
    this.openRows.expectReady("append", [row]);
    expectIdList("append", tokens);
    checkIds("append", tokens, this.model.vocabulary);
    const before = row.tokens.length;
    const { generated } = row;
    const most = this.model.context + (scores ? 1 : 0); // the last token is only predicted
    if (before + tokens.length > most) throw tooLong("append", this.model, before + tokens.length);
    for (const token of tokens) row.tokens.push(token);
    if (tokens.length > 0) row.generated = 0;
    try {
      await this.prefill.store(row, signal, scores);
      const broken = scores?.findIndex(Number.isNaN) ?? -1;
      if (broken >= 0) throw new HeedError("data", `score: the logits of token ${broken} are NaN. Has the model been trained?`);
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
    groups: readonly (readonly Row[])[], scores: readonly (readonly number[])[], { width, count }: { width: number; count: number },
  ): Promise<Extension[][]> {
    const rows = groups.flat();
    this.expectAlive();
    this.openRows.expectReady("expand", rows);
    return this.steps.extend(groups, scores, width, count);
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

  /** The open rows, in the order in which they were opened. */
  get openedRows(): Row[] {
    return [...this.openRows];
  }

  /**
   * Saves the open rows with the keys and values that they have stored, so that another process can continue them without reading their
   * tokens again: see `Session.restore`.
   * @throws TypeError if a row is still reading tokens, or waits for `choose`
   */
  save(): Uint8Array {
    this.expectAlive();
    this.openRows.expectReady("save", [...this.openRows]);
    return saveRows(this.openRows, this.pool, this.weights.hash());
  }

  /**
   * Opens a session with the rows that `save` saved. They continue to the same bits, in any runtime with the plain build.
   * @param model  a model with the same weights
   * @throws HeedError: `format` for bytes that are not a saved session, `checkpoint` for a session of other weights, `memory` if it does
   *   not fit; RangeError if it has more rows than `options.rows`
   *
   * @example
   * const bytes = session.save(); // store them in a file, or in a browser's OPFS
   * const again = Session.restore(model, bytes);
   * await again.step(again.openedRows);
   */
  static restore<M extends DecoderModel>(model: M, bytes: Uint8Array, options: SessionOptions = {}): Session<M> {
    const session = new Session(model, options);
    try {
      const rows = restoreRows(bytes, model, session.pool, session.weights.hash());
      session.openRows.expectRoom("restore", rows.length);
      for (const row of rows) session.openRows.add(row);
      if (rows.some(({ sampler }) => needsContext(sampler))) session.addContext();
      return session;
    } catch (error) {
      session.dispose();
      throw error;
    }
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
