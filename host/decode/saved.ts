import { HeedError } from "../errors";
import { checkFields, type FieldsByName, object, text, typed, whole } from "../fields";
import { PAGE_TOKENS, pageElements, type PageLayout } from "../graph/ops/keyvalues";
import { hashWords } from "../hash";
import { parseJson } from "../json";
import { type DecoderModel, hasSource } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { PagePool } from "./pages";
import { Row } from "./row";
import { checkSampler, type Sampler } from "./sampler";

// A saved session, little-endian: "HEEDSESS", the length of the header in bytes (u32), its hash and the hash of the pages (16 bytes each),
// the header as JSON, zeros up to a multiple of 4, and the pages that rows use, f32.

const MAGIC = 0x5353455344454548n; // "HEEDSESS"
const HEADER = 44;

interface SavedRow {
  tokens: number[];
  source: number[];
  sampler: Required<Sampler>;
  draws: number;
  generated: number;
  stored: number;
  /** Indices into the saved pages. */
  pages: number[];
  sourcePages: number[];
}

interface Header {
  weights: string;
  layout: PageLayout;
  rows: SavedRow[];
  pages: number;
}

const list = typed("a list", Array.isArray);
const fields: FieldsByName = { weights: text, layout: object, rows: list, pages: whole };
const rowFields: FieldsByName = {
  tokens: list, source: list, sampler: object, draws: whole, generated: whole, stored: whole, pages: list, sourcePages: list,
};

/** A session's rows and the keys and values that they have stored, as bytes. */
export function saveRows(rows: Iterable<Row>, pool: PagePool, weights: string): Uint8Array {
  const pages = new Map<number, number>();
  const indexOf = (page: number): number => {
    if (!pages.has(page)) pages.set(page, pages.size);
    return pages.get(page)!;
  };
  const saved = Array.from(rows, ({ tokens, source, sampler, draws, generated, stored, ...row }): SavedRow => {
    const used = row.pages.slice(0, Math.ceil(stored / PAGE_TOKENS)).map(indexOf);
    return { tokens, source: [...source], sampler, draws, generated, stored, pages: used, sourcePages: row.sourcePages.map(indexOf) };
  });
  const header: Header = { weights, layout: pool.layout, rows: saved, pages: pages.size };
  const json = new TextEncoder().encode(JSON.stringify(header, (_, value: unknown) => (value === -Infinity ? "-Infinity" : value)));
  const start = HEADER + align4(json.length);
  const size = pageElements(pool.layout);
  const bytes = new Uint8Array(start + 4 * size * pages.size);
  bytes.set(json, HEADER);
  for (const [page, index] of pages) bytes.set(pool.bytes(page), start + 4 * size * index);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setUint32(8, json.length, true);
  writeHash(view, 12, hashWords(new Uint32Array(bytes.buffer, HEADER, align4(json.length) / 4)));
  writeHash(view, 28, hashWords(new Uint32Array(bytes.buffer, start)));
  return bytes;
}

/** Creates the rows that `saveRows` saved, with pages of the pool. @throws HeedError as `Session.restore` does; nothing is kept then */
export function restoreRows(bytes: Uint8Array, model: DecoderModel, pool: PagePool, weights: string): Row[] {
  const { header, pages } = parse(bytes);
  if (header.weights !== weights) {
    const message = `Session.restore: the session was saved with weights of hash ${header.weights}, the model's have ${weights}`;
    throw new HeedError("checkpoint", `${message}; load the model that the session belongs to`);
  }
  const size = pageElements(pool.layout);
  if (JSON.stringify(header.layout) !== JSON.stringify(pool.layout) || pages.length !== size * header.pages) {
    throw broken(`expected ${header.pages} pages of ${size} numbers, got ${pages.length} numbers`);
  }
  const rows = header.rows.map((row, i) => checkRow(row, i, model, header.pages));
  const taken = new Map<number, number>();
  const pageOf = (index: number): number => {
    const page = taken.get(index);
    if (page !== undefined) return pool.share(page);
    taken.set(index, pool.take());
    pool.bytes(taken.get(index)!).set(new Uint8Array(pages.buffer, pages.byteOffset + 4 * size * index, 4 * size));
    return taken.get(index)!;
  };
  header.rows.forEach((saved, i) => {
    for (const index of saved.pages) rows[i]!.pages.push(pageOf(index));
    for (const index of saved.sourcePages) rows[i]!.sourcePages.push(pageOf(index));
  });
  return rows;
}

function parse(given: Uint8Array): { header: Header; pages: Float32Array } {
  const bytes = given.byteOffset % 4 === 0 ? given : given.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER || view.getBigUint64(0, true) !== MAGIC) throw broken("expected a saved session, got something else");
  const length = view.getUint32(8, true);
  const start = HEADER + align4(length);
  if (start > bytes.length || bytes.length % 4 !== 0) throw broken(`expected at least ${start} bytes, got ${bytes.length}`);
  const words = (from: number, to: number): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset + from, (to - from) / 4);
  if (readHash(view, 12) !== hashWords(words(HEADER, start)) || readHash(view, 28) !== hashWords(words(start, bytes.length))) {
    throw broken("the contents do not match their hash");
  }
  const header = parseJson(new TextDecoder().decode(bytes.subarray(HEADER, HEADER + length))) as Header;
  checkFields("session", header, fields);
  return { header, pages: new Float32Array(bytes.buffer, bytes.byteOffset + start, (bytes.length - start) / 4) };
}

function checkRow(saved: SavedRow, i: number, model: DecoderModel, pages: number): Row {
  checkFields(`session: row ${i}`, saved, rowFields);
  const { tokens, source, draws, generated, stored } = saved;
  try {
    checkIds("tokens", tokens, model.vocabulary);
    checkIds("source", source, model.vocabulary);
    const sampler = { ...saved.sampler, logitBias: saved.sampler.logitBias.map(toBias) };
    const row = new Row(tokens, checkSampler("sampler", sampler, model.vocabulary));
    const sourceContext = hasSource(model) ? model.sourceContext : 0;
    const fits = tokens.length > 0 && tokens.length <= model.context + 1 && source.length <= sourceContext;
    const counts = stored === tokens.length - 1 && generated <= tokens.length;
    const isPaged = (list: number[], n: number): boolean =>
      list.length === Math.ceil(n / PAGE_TOKENS) && list.every((page) => whole.accepts(page) && page < pages);
    const arePaged = isPaged(saved.pages, stored) && isPaged(saved.sourcePages, source.length);
    if (!fits || !counts || !arePaged) throw new RangeError("its tokens and pages do not fit");
    return Object.assign(row, { source, draws, generated, stored });
  } catch (cause) {
    throw broken(`row ${i}: ${(cause as Error).message}`, cause);
  }
}

/** JSON has no −Infinity. */
function toBias([id, value]: readonly [number, unknown]): readonly [number, number] {
  return [id, value === "-Infinity" ? -Infinity : (value as number)];
}

const broken = (message: string, cause?: unknown): HeedError => new HeedError("format", `Session.restore: ${message}`, { cause });
const align4 = (n: number): number => Math.ceil(n / 4) * 4;

function writeHash(view: DataView, at: number, hash: string): void {
  for (let i = 0; i < 4; i++) view.setUint32(at + 4 * i, parseInt(hash.slice(8 * i, 8 * i + 8), 16), true);
}

function readHash(view: DataView, at: number): string {
  return Array.from({ length: 4 }, (_, i) => view.getUint32(at + 4 * i, true).toString(16).padStart(8, "0")).join("");
}
