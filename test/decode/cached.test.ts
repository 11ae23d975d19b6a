import { beforeAll, describe, expect, it } from "vitest";
import type { Batch } from "../../host/batch";
import type { Session } from "../../host/decode/session";
import type { Row } from "../../host/decode/row";
import { PAGE_TOKENS } from "../../host/graph/ops/keyvalues";
import { Transformer } from "../../host/models/transformer";
import { logitsOf } from "../models/logits";
import { CONTEXT, type Family, openSession, promptOf, randomIds, sourceOf, trained, type TrainedModel, VOCABULARY } from "./trained";

const V = VOCABULARY;
/** Source seeds by the number of pages they need: 5, 72 and 139 tokens. */
const SOURCES = [0, 1, 2];

/** The logits after each token, from a program over the whole sequence. */
function uncached(model: TrainedModel, tokens: readonly number[], seed = 1): Float32Array {
  const array = (ids: readonly number[]) => ({ shape: [1, ids.length], data: Int32Array.from(ids) });
  const source = sourceOf(seed);
  const batch: Batch = model instanceof Transformer ? { source: array(source), sourceLengths: { shape: [1], data: Int32Array.of(source.length) }, target: array(tokens) } : { tokens: array(tokens) };
  return logitsOf(model, batch);
}

/** Steps a row n times and returns the logits of each step. */
async function steps(session: Session, row: Row, n: number): Promise<Float32Array> {
  const all = new Float32Array(n * V);
  for (let i = 0; i < n; i++) {
    await session.step([row]);
    all.set(session.logits(row), i * V);
  }
  return all;
}

const bitsOf = (values: Float32Array): Int32Array => new Int32Array(values.slice().buffer);
const expectSameBits = (actual: Float32Array, expected: Float32Array): void => expect(bitsOf(actual)).toEqual(bitsOf(expected));

describe.each(Object.keys(trained) as Family[])("%s", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const seeds = (): number[] => (model instanceof Transformer ? SOURCES : [1]);

  it("attends to everything: the last logits depend on the first token of every page, and on each page of the source", () => {
    const tokens = randomIds(1, CONTEXT);
    const last = (changed: readonly number[], source = 2): number[] => [...uncached(model, changed, source).subarray(-V)];
    const expected = last(tokens);
    const change = (place: number): number => Math.max(...last(tokens.map((id, i) => (i === place ? 3 + ((id - 2) % 10) : id))).map((value, v) => Math.abs(value - expected[v]!)));
    for (const place of [0, 64, 128]) expect(change(place)).toBeGreaterThan(1e-4);
    if (model instanceof Transformer) expect(last(tokens, 1)).not.toEqual(expected);
  });

  it(`matches a program over the whole sequence bit for bit in ${CONTEXT - 1} steps, up to a full context`, async () => {
    for (const seed of seeds()) {
      const session = openSession(model);
      const [row] = await session.open([{ ...promptOf(model, [3, 4], seed), temperature: 2, seed }]);
      const logits = await steps(session, row!, CONTEXT - 1);
      expect(new Set(row!.tokens).size).toBeGreaterThan(5);
      expectSameBits(logits, uncached(model, row!.tokens.slice(0, CONTEXT), seed).subarray(V));
      session.dispose();
    }
  });

  it.each([1, 2, 3, 16, 17, 63, 64, 65, 127, 128, 129, CONTEXT])("matches a program over the prompt bit for bit after a prompt of %i tokens", async (length) => {
    for (const seed of seeds()) {
      const tokens = randomIds(length, length);
      const session = openSession(model);
      const [row] = await session.open([promptOf(model, tokens, seed)]);
      expectSameBits(await steps(session, row!, 1), uncached(model, tokens, seed).subarray(-V));
      session.dispose();
    }
  });

  const T = 141;
  it.each([[1], [2], [63], [64], [65], [T - 1], [T], [7, 50], [16, 64, 256]])("reads a prompt in pieces of %j with the same bits, after the prompt and 9 steps later", async (...pieces) => {
    const tokens = randomIds(7, T);
    const session = openSession(model, { pieces });
    const [row] = await session.open([promptOf(model, tokens)]);
    expectSameBits(await steps(session, row!, 10), uncached(model, row!.tokens.slice(0, T + 9)).subarray((T - 1) * V));
    session.dispose();
  });

  it.each([1, 2, 63, 64, 65, T - 2, T - 1])("appends the rest of a prompt to %i tokens with the same bits, after the prompt and 9 steps later", async (first) => {
    const tokens = randomIds(8, T);
    const session = openSession(model);
    const [row] = await session.open([promptOf(model, tokens.slice(0, first))]);
    await session.append(row!, tokens.slice(first));
    expectSameBits(await steps(session, row!, 10), uncached(model, row!.tokens.slice(0, T + 9)).subarray((T - 1) * V));
    session.dispose();
  });

  it.each([1, 2, 20, 64, 65, 66, 130])("stores the keys and values of %i tokens but the last, then of the last by a step, and nothing beyond", async (length) => {
    const session = openSession(model);
    const [row] = (await session.open([promptOf(model, randomIds(1, length))])) as [Row];
    const { layers, keyValueHeads, headSize } = model.pageLayout;
    const heads = Array.from({ length: layers * 2 * keyValueHeads }, (_, head) => head);
    const isKey = (head: number): boolean => Math.floor(head / keyValueHeads) % 2 === 0; // in each layer, all keys come before all values
    /** For each token slot in the pages: true if all elements are numbers, false if none are, undefined if only some are. */
    const stored = (): (boolean | undefined)[] => row.pages.flatMap((page) => {
      const elements = session["pool"].state.rowsFrom(page, 1).read();
      return Array.from({ length: PAGE_TOKENS }, (_, token) => {
        const places = heads.flatMap((head) => Array.from({ length: headSize }, (_, d) => head * headSize * PAGE_TOKENS + (isKey(head) ? d * PAGE_TOKENS + token : token * headSize + d)));
        const numbers = places.filter((place) => !Number.isNaN(elements[place]!)).length;
        return numbers === places.length ? true : numbers === 0 ? false : undefined;
      });
    });
    const expected = (count: number): boolean[] => Array.from({ length: Math.ceil(count / PAGE_TOKENS) * PAGE_TOKENS }, (_, token) => token < count);
    expect(stored()).toEqual(expected(length - 1));
    await session.step([row]);
    expect(stored()).toEqual(expected(length));
    session.dispose();
  });

  it("matches a program over all preceding tokens bit for bit while alternating steps and appended tokens", async () => {
    const session = openSession(model);
    const [row] = await session.open([{ ...promptOf(model, randomIds(3, 5)), temperature: 1 }]);
    for (const appended of [1, 30, 27, 2, 62]) {
      expectSameBits(await steps(session, row!, 1), uncached(model, row!.tokens.slice(0, -1)).subarray(-V));
      await session.append(row!, randomIds(appended, appended));
    }
    expectSameBits(await steps(session, row!, 3), uncached(model, row!.tokens.slice(0, -1)).subarray(-3 * V));
    session.dispose();
  });
});
