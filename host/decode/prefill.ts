import { yieldToEventLoop } from "../core/yieldtoeventloop";
import { PAGE_TOKENS } from "../graph/ops/keyvalues";
import { type DecoderModel, hasSource } from "../models/decoding";
import type { AbortSignalLike } from "../webtypes";
import type { PagePool } from "./pages";
import type { DecodingPrograms } from "./programs";
import { pieceFor } from "./prompt";
import type { Row } from "./row";
import { sizeFor } from "./size";

/** Source lengths are rounded up to multiples of this, so that a handful of programs serves them all. */
const SOURCE_GRAIN = 16;
/** Maximum number of sources encoded at once. */
const SOURCE_BATCH = 32;
/** Maximum number of tokens scored at once, since each has logits. */
const SCORED = 64;
/** A common prefix shorter than this is computed again: copying its page when one of the rows writes to it takes as long. */
const LEAST_SHARED = 8;

/** Maximum number of rows that a new one is compared with. */
const COMPARED = 8;

/** Open rows, grouped so that a new one finds those that it may share pages with. */
export class Kin {
  private readonly sources = new Map<string, Row>();
  private readonly starts = new Map<string, Row[]>();

  /** @param rows  open rows; those whose source is still being encoded are left out */
  constructor(rows: Iterable<Row>) {
    for (const row of rows) if (row.source.length === 0 || row.sourcePages.length > 0) this.add(row);
  }

  /** A row with the same source; undefined if the row has none. */
  twin(row: Row): Row | undefined {
    return row.source.length > 0 ? this.sources.get(row.source.join()) : undefined;
  }

  /** Rows with the same source and the same first tokens. */
  alike(row: Row): readonly Row[] {
    return this.starts.get(startOf(row)) ?? [];
  }

  add(row: Row): void {
    if (row.source.length > 0 && !this.twin(row)) this.sources.set(row.source.join(), row);
    if (row.tokens.length <= LEAST_SHARED) return;
    const alike = this.starts.get(startOf(row)) ?? [];
    if (alike.length < COMPARED) this.starts.set(startOf(row), [...alike, row]);
  }
}

const startOf = (row: Row): string => `${row.tokens.slice(0, LEAST_SHARED).join()};${row.source.join()}`;

/** Reads prompts and sources: stores the keys and values that steps attend to. */
export class Prefill {
  private readonly pieces: readonly number[];

  /** @param pieces  prompts are split into pieces of these lengths */
  constructor(
    private readonly model: DecoderModel,
    private readonly pool: PagePool,
    private readonly programs: DecodingPrograms,
    pieces: readonly number[],
  ) {
    this.pieces = pieces.map((piece) => Math.min(piece, model.context)).sort((a, b) => a - b);
  }

  /**
   * Stores the keys and values of all tokens of a row but the last, piece by piece.
   * @param scores  if given, receives the log-probability of each token after the first of these
   */
  async store(row: Row, signal?: AbortSignalLike, scores?: number[]): Promise<void> {
    while (row.stored < row.tokens.length - 1) {
      signal?.throwIfAborted();
      if (!row.isOpen) throw new TypeError("the row was closed while its tokens were being read");
      const left = row.tokens.length - 1 - row.stored;
      const length = Math.min(pieceFor(left, this.pieces), scores ? SCORED : Infinity);
      const n = Math.min(length, left);
      this.pool.makeRoom(row, row.stored + n);
      const scoring = scores && this.programs.score(length);
      const { program, tensors } = scoring ?? this.programs.prompt(length);
      program.write(tensors.tokens, filled(length, row.tokens.slice(row.stored, row.stored + n)));
      program.write(tensors.counts, [n]);
      program.write(tensors.past, [row.stored]);
      program.write(tensors.pages, filled(this.programs.rowPages, row.pages));
      program.write(tensors.sourceLengths, [row.source.length]);
      program.write(tensors.sourcePages, filled(this.programs.sourceRowPages, row.sourcePages));
      if (scoring) program.write(scoring.tensors.targets, filled(length, row.tokens.slice(row.stored + 1, row.stored + n + 1), -1));
      program.run();
      if (scoring) for (const loss of program.read(scoring.tensors.losses).subarray(0, n)) scores.push(-loss);
      row.stored += n;
      row.isStale = true;
      await yieldToEventLoop();
    }
  }

  /** Lets a row share the source of another one with the same source. */
  shareSource(row: Row, twin: Row): void {
    for (const page of twin.sourcePages) row.sourcePages.push(this.pool.share(page));
  }

  /** Lets a new row share the longest prefix that it has in common with one of the others, without its last token. */
  sharePrefix(row: Row, others: readonly Row[]): void {
    let best: Row | undefined;
    let longest = 0;
    for (const other of others) {
      if (!other.isOpen) continue;
      const limit = Math.min(row.tokens.length - 1, other.stored);
      let n = 0;
      while (n < limit && row.tokens[n] === other.tokens[n]) n++;
      if (n > longest) [best, longest] = [other, n];
    }
    if (!best || longest < LEAST_SHARED) return;
    this.pool.sharePages(row, best, longest);
  }

  /** Encodes the rows' sources, each of them once. */
  async encodeAll(rows: readonly Row[], kin: Kin, signal?: AbortSignalLike): Promise<void> {
    const fresh = new Kin([]);
    const unknown: Row[] = [];
    const twins = new Map<Row, Row>();
    for (const row of rows) {
      const [open, twin] = [kin.twin(row), fresh.twin(row)];
      if (open) this.shareSource(row, open); // at once, since that row may be closed while this method waits
      else if (twin) twins.set(row, twin);
      else {
        unknown.push(row);
        fresh.add(row);
      }
    }
    await this.encode(unknown, signal);
    for (const [row, twin] of twins) this.shareSource(row, twin);
  }

  /** Encodes sources in batches of similar length. */
  private async encode(rows: readonly Row[], signal?: AbortSignalLike): Promise<void> {
    const limit = hasSource(this.model) ? this.model.sourceContext : 0;
    const order = [...rows].sort((a, b) => b.source.length - a.source.length);
    for (let at = 0; at < order.length; at += SOURCE_BATCH) {
      signal?.throwIfAborted();
      const group = order.slice(at, at + SOURCE_BATCH);
      const n = sizeFor(group.length);
      const S = Math.min(limit, Math.ceil(group[0]!.source.length / SOURCE_GRAIN) * SOURCE_GRAIN);
      const { sourceRowPages } = this.programs;
      const pages = new Int32Array(n * sourceRowPages);
      const source = new Int32Array(n * S);
      group.forEach((row, i) => {
        for (let page = 0; page < Math.ceil(row.source.length / PAGE_TOKENS); page++) row.sourcePages.push(this.pool.take());
        pages.set(row.sourcePages, i * sourceRowPages);
        source.set(row.source, i * S);
      });
      const { program, tensors } = this.programs.encode(n, S);
      program.write(tensors.source, source);
      program.write(tensors.lengths, filled(n, group.map((row) => row.source.length)));
      program.write(tensors.past, new Int32Array(n));
      program.write(tensors.pages, pages);
      program.run();
      await yieldToEventLoop();
    }
  }
}

/** `values`, then `rest` up to `length`. */
function filled(length: number, values: readonly number[], rest = 0): Int32Array {
  const all = new Int32Array(length).fill(rest);
  all.set(values);
  return all;
}
