import { yieldToEventLoop } from "../core/yieldtoeventloop";
import { HeedError } from "../errors";
import { checkConfig, count, type FieldsByName, flag, optional } from "../fields";
import { PAGE_TOKENS } from "../graph/ops/keyvalues";
import { type DecoderModel, expectDecoder, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { Weights } from "../nn/weights";
import { PagePool } from "./pages";
import { DecodingPrograms } from "./programs";
import { checkPrompts, expectIdList, pieceFor, type Prompt } from "./prompt";
import { checkSampler, Row, type Sampler } from "./row";
import type { AbortSignalLike } from "../webtypes";

/** Options of a session. */
export interface SessionOptions {
  /** Maximum number of open rows; 64 by default. */
  rows?: number;
  /** Prompts are split into pieces of these lengths, each with its own program; 16, 64 and 256 tokens by default. */
  pieces?: readonly number[];
  /** Fill pages with NaN when they are taken or released, so that tests detect stale reads; false by default. */
  poison?: boolean;
}

const lengths = {
  expected: "a list of integers of at least 1", isType: Array.isArray,
  accepts: (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(count.accepts),
};
const fields: FieldsByName = { rows: optional(count), pieces: optional(lengths), poison: optional(flag) };

/** Source lengths are rounded up to multiples of this, so that a handful of programs serves them all. */
const SOURCE_GRAIN = 16;
/** Maximum number of sources encoded at once. */
const SOURCE_BATCH = 32;

/**
 * Decoding with a key-value cache: the basis of greedy search, sampling and custom decoders.
 *
 * A row is a sequence whose last token is read by the next step. The keys and values of all earlier tokens are stored in pages of 64
 * tokens. A row's results are bit-identical whichever rows are decoded with it, and however its prompt is split into pieces.
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
  private readonly pieces: readonly number[];
  private readonly openRows = new Set<Row>();
  /** The rows of the last step, and the size of its program. */
  private last: { rows: readonly Row[]; size: number } | undefined;
  private disposed = false;

  /** @throws TypeError or RangeError for invalid options; HeedError `memory` if the session does not fit */
  constructor(
    readonly model: M,
    options: SessionOptions = {},
  ) {
    expectDecoder("Session", model);
    checkConfig("Session", options, fields);
    const { rows = 64, pieces = [16, 64, 256], poison = false } = options;
    this.rows = rows;
    this.pieces = pieces.map((piece) => Math.min(piece, model.context)).sort((a, b) => a - b);
    this.weights = model.weights;
    this.pool = new PagePool(this.weights.runtime, model.pageLayout, poison);
    try {
      this.programs = new DecodingPrograms(model, this.pool, sizeFor(rows));
    } catch (error) {
      this.pool.dispose();
      throw error;
    }
  }

  /**
   * Opens a row for each prompt: encodes its source, and stores the keys and values of all its tokens but the last.
   * @param signal  aborts between two pieces and closes the new rows
   * @throws RangeError for prompts that are empty or too long, ids outside the vocabulary and too many rows; TypeError for unknown fields
   */
  async open(prompts: readonly Prompt[], { signal }: { signal?: AbortSignalLike } = {}): Promise<Row[]> {
    this.expectAlive();
    const rows = checkPrompts(this.model, prompts);
    if (this.openRows.size + rows.length > this.rows) {
      const open = this.openRows.size;
      throw new RangeError(`open: the session has ${this.rows} rows, of which ${open} are open; got ${rows.length} prompts`);
    }
    for (const row of rows) this.openRows.add(row);
    try {
      if (hasSource(this.model)) await this.encode(rows, prompts.map(({ source }) => source!), signal);
      for (const row of rows) await this.store(row, signal);
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
    this.expectReady("append", [row]);
    expectIdList("append", tokens);
    checkIds("append", tokens, this.model.vocabulary);
    const before = row.tokens.length;
    if (before + tokens.length > this.model.context) throw this.tooLong("append", before + tokens.length);
    for (const token of tokens) row.tokens.push(token);
    try {
      await this.store(row, signal);
    } catch (error) {
      if (row.isOpen) this.keepFirst(row, before);
      throw error;
    }
  }

  /**
   * Reads each row's last token and appends the one that follows it, chosen by the row's sampler.
   * @returns the chosen ids, in the order of the rows
   * @throws RangeError if a row has reached the model's context; HeedError `data` if its logits are NaN, which leaves the rows unchanged
   */
  async step(rows: readonly Row[]): Promise<number[]> {
    this.expectReady("step", rows);
    if (rows.length === 0) return [];
    for (const row of rows) {
      if (row.tokens.length > this.model.context) throw this.tooLong("step", row.tokens.length);
      this.makeRoom(row, row.tokens.length);
    }
    const size = sizeFor(rows.length);
    const { program } = this.programs.step(size);
    this.programs.slots.arrange(rows, size);
    this.last = undefined;
    program.run();
    const { ids } = this.programs.slots;
    const chosen = [...ids.block.i32(0, rows.length)];
    const broken = chosen.findIndex((id) => id < 0);
    if (broken >= 0) {
      this.programs.slots.forget();
      throw new HeedError("data", `step: the logits of row ${broken} are NaN; expected finite numbers. Has the model been trained?`);
    }
    rows.forEach((row, i) => {
      row.stored = row.tokens.push(chosen[i]!) - 1;
      row.draws++;
    });
    this.last = { rows: [...rows], size };
    return chosen;
  }

  /**
   * Creates a second row with the same tokens. The rows share pages; a shared page is copied when one of them writes to it.
   * @param sampler  settings that replace those of the original, such as another seed
   * @throws RangeError if all of the session's rows are open
   */
  fork(row: Row, sampler: Sampler = {}): Row {
    this.expectReady("fork", [row]);
    if (this.openRows.size >= this.rows) throw new RangeError(`fork: all of the session's ${this.rows} rows are open`);
    const copy = new Row([...row.tokens], checkSampler("fork", { ...row.sampler, ...sampler }));
    for (const page of row.pages) copy.pages.push(this.pool.share(page));
    for (const page of row.sourcePages) copy.sourcePages.push(this.pool.share(page));
    Object.assign(copy, { sourceLength: row.sourceLength, draws: row.draws, stored: row.stored });
    this.openRows.add(copy);
    return copy;
  }

  /**
   * Keeps a row's first n tokens. The next step reads the last of them.
   * @throws RangeError unless n is between 1 and the number of tokens
   */
  truncate(row: Row, n: number): void {
    this.expectReady("truncate", [row]);
    if (!Number.isInteger(n) || n < 1 || n > row.tokens.length) {
      throw new RangeError(`truncate: expected 1 to ${row.tokens.length} tokens, got ${n}`);
    }
    this.keepFirst(row, n);
  }

  /** Closes a row and releases its pages. Closing a closed row has no effect. */
  close(row: Row): void {
    if (!this.openRows.delete(row)) return;
    row.isOpen = false;
    for (const page of [...row.pages.splice(0), ...row.sourcePages.splice(0)]) this.pool.release(page);
  }

  /**
   * The logits from which a row's last token was chosen, f32 [vocabulary].
   * @throws TypeError if the row was not part of the last step, or another program has run since
   */
  logits(row: Row): Float32Array {
    this.expectOpen("logits", [row]);
    const index = this.last?.rows.indexOf(row) ?? -1;
    if (index < 0) throw new TypeError("logits: the row was not part of the session's last step");
    const { program, tensors } = this.programs.step(this.last!.size);
    const V = this.model.vocabulary;
    return program.read(tensors.logits).slice(index * V, (index + 1) * V);
  }

  /** Closes all rows and releases pages, cells and programs. */
  dispose(): void {
    if (this.disposed) return;
    for (const row of [...this.openRows]) this.close(row);
    this.disposed = true;
    this.programs.dispose();
    this.pool.dispose();
  }

  private tooLong(verb: string, length: number): RangeError {
    const { context } = this.model;
    const advice = "truncate it or open a shorter row";
    return new RangeError(`${verb}: the model takes at most ${context} tokens, the row would have ${length}; ${advice}`);
  }

  private expectAlive(): void {
    if (this.disposed) throw new TypeError("the session has been disposed; create a new one");
    if (this.model.weights !== this.weights) {
      throw new TypeError("Session: the model has since been disposed and placed again; create a new session");
    }
  }

  private expectOpen(verb: string, rows: readonly Row[]): void {
    this.expectAlive();
    if (!Array.isArray(rows)) throw new TypeError(`${verb}: expected a list of rows`);
    const seen = new Set<Row>();
    rows.forEach((row, i) => {
      if (!this.openRows.has(row)) throw new TypeError(`${verb}: row ${i} is not open in this session`);
      if (seen.has(row)) throw new TypeError(`${verb}: row ${i} is given twice`);
      seen.add(row);
    });
  }

  /** Like `expectOpen`, and refuses rows that `append` is still extending. */
  private expectReady(verb: string, rows: readonly Row[]): void {
    this.expectOpen(verb, rows);
    const busy = rows.findIndex((row) => row.stored < row.tokens.length - 1);
    if (busy >= 0) throw new TypeError(`${verb}: row ${busy} is still reading tokens: await append first`);
  }

  private keepFirst(row: Row, n: number): void {
    row.tokens.length = n;
    row.stored = n - 1;
    row.isStale = true;
    for (const page of row.pages.splice(Math.ceil((n - 1) / PAGE_TOKENS))) this.pool.release(page);
  }

  /** Makes sure that the row has pages for its first `tokens` tokens, and does not share those about to be written. */
  private makeRoom(row: Row, tokens: number): void {
    const { pages } = row;
    const first = Math.floor(row.stored / PAGE_TOKENS);
    for (let i = first; i < Math.ceil(tokens / PAGE_TOKENS); i++) {
      const page = i < pages.length ? this.pool.writable(pages[i]!) : this.pool.take();
      if (page === pages[i]) continue;
      pages[i] = page;
      row.isStale = true;
    }
  }

  /** Stores the keys and values of all tokens but the last, piece by piece. */
  private async store(row: Row, signal?: AbortSignalLike): Promise<void> {
    while (row.stored < row.tokens.length - 1) {
      signal?.throwIfAborted();
      if (!row.isOpen) throw new TypeError("the row was closed while its tokens were being read");
      const left = row.tokens.length - 1 - row.stored;
      const length = pieceFor(left, this.pieces);
      const n = Math.min(length, left);
      this.makeRoom(row, row.stored + n);
      const { program, tensors } = this.programs.prompt(length);
      program.write(tensors.tokens, filled(length, row.tokens.slice(row.stored, row.stored + n)));
      program.write(tensors.counts, [n]);
      program.write(tensors.past, [row.stored]);
      program.write(tensors.pages, filled(this.programs.rowPages, row.pages));
      program.write(tensors.sourceLengths, [row.sourceLength]);
      program.write(tensors.sourcePages, filled(this.programs.sourceRowPages, row.sourcePages));
      program.run();
      row.stored += n;
      row.isStale = true;
      await yieldToEventLoop();
    }
  }

  /** Encodes sources in batches of similar length. */
  private async encode(rows: readonly Row[], sources: readonly (readonly number[])[], signal?: AbortSignalLike): Promise<void> {
    const limit = hasSource(this.model) ? this.model.sourceContext : 0;
    const order = [...rows.keys()].sort((a, b) => sources[b]!.length - sources[a]!.length);
    for (let at = 0; at < order.length; at += SOURCE_BATCH) {
      signal?.throwIfAborted();
      const group = order.slice(at, at + SOURCE_BATCH);
      const n = sizeFor(group.length);
      const S = Math.min(limit, Math.ceil(sources[group[0]!]!.length / SOURCE_GRAIN) * SOURCE_GRAIN);
      const pages = new Int32Array(n * this.programs.sourceRowPages);
      for (const [slot, i] of group.entries()) {
        const row = rows[i]!;
        row.sourceLength = sources[i]!.length;
        for (let page = 0; page < Math.ceil(row.sourceLength / PAGE_TOKENS); page++) row.sourcePages.push(this.pool.take());
        pages.set(row.sourcePages, slot * this.programs.sourceRowPages);
      }
      const { program, tensors } = this.programs.encode(n, S);
      program.write(tensors.source, filled(n * S, group.flatMap((i) => [...filled(S, sources[i]!)])));
      program.write(tensors.lengths, filled(n, group.map((i) => sources[i]!.length)));
      program.write(tensors.past, new Int32Array(n));
      program.write(tensors.pages, pages);
      program.run();
      await yieldToEventLoop();
    }
  }
}

/** The size of the program that serves n rows: 1, 2, 4, … */
const sizeFor = (n: number): number => 2 ** Math.ceil(Math.log2(n));

/** `values`, then zeros up to `length`. */
function filled(length: number, values: readonly number[]): Int32Array {
  const all = new Int32Array(length);
  all.set(values);
  return all;
}
