import { beforeAll, describe, expect, it } from "vitest";
import { generate } from "../../host/decode/generate";
import { greedy } from "../../host/decode/greedy";
import { PagePool } from "../../host/decode/pages";
import type { Runtime } from "../../host/core/runtime";
import { pageElements } from "../../host/graph/ops/keyvalues";
import type { GPT } from "../../host/models/gpt";
import type { Transformer } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";
import { openSession, randomIds, START, trained } from "./trained";

const END = 2;

/** Memory in use: by the report, by its own count, and the highest address. */
function taken({ memory }: Runtime): { bytes: number; used: number; end: number } {
  const report = memory.report();
  return { bytes: report.reduce((sum, { bytes }) => sum + bytes, 0), used: memory.used, end: Math.max(...report.map(({ address, bytes }) => address + bytes)) };
}

describe("1,000 translations of random lengths use no more memory than the first 50", () => {
  let transformer: Transformer;
  let next: () => number;
  beforeAll(async () => {
    transformer = await trained.Transformer();
    next = uniform(1);
  });
  const sources = (count: number): number[][] => Array.from({ length: count }, () => randomIds(Math.floor(2 ** 30 * next()), 1 + Math.floor(150 * next())));
  const options = (): { start: number; end: number; maxTokens: number } => ({ start: START, end: END, maxTokens: 1 + Math.floor(12 * next()) });

  it("one at a time, each by greedy(model)", async () => {
    const { runtime } = transformer.weights;
    for (let i = 0; i < 50; i++) await greedy(transformer, sources(1), options());
    const first = taken(runtime);
    for (let i = 50; i < 1000; i++) await greedy(transformer, sources(1), options());
    expect(taken(runtime)).toEqual(first);
  });

  it("one at a time, in a reused session", async () => {
    const session = openSession(transformer);
    for (let i = 0; i < 50; i++) await greedy(session, sources(1), options());
    const first = taken(transformer.weights.runtime);
    for (let i = 50; i < 1000; i++) await greedy(session, sources(1), options());
    expect(taken(transformer.weights.runtime)).toEqual(first);
    expect(session["pool"].used).toBe(0);
    session.dispose();
  });

  it("several at a time, in a session of 8 rows, within 10 %", async () => {
    const session = openSession(transformer, { rows: 8 });
    const translate = async (count: number): Promise<void> => {
      for (let done = 0; done < count; ) {
        const batch = Math.min(1 + Math.floor(8 * next()), count - done);
        await greedy(session, sources(batch), options());
        done += batch;
      }
    };
    await greedy(session, Array.from({ length: 8 }, () => randomIds(1, 150)), { start: START, end: END, maxTokens: 12 }); // the largest possible
    await translate(42);
    const { bytes, end } = taken(transformer.weights.runtime);
    await translate(950);
    const after = taken(transformer.weights.runtime);
    // The programs that the session keeps depend on the last sizes, so their instructions vary by some kilobytes. Its pages do not vary.
    expect(Math.abs(after.bytes - bytes)).toBeLessThan(0.1 * bytes);
    expect(after.end).toBeLessThan(1.1 * end);
    session.dispose();
  });
});

describe("a session's memory", () => {
  it("is freed by generate and greedy when they end, fail or are abandoned", async () => {
    const gpt: GPT = await trained.GPT();
    const { runtime } = gpt.weights;
    const run = async (use: (iterator: AsyncGenerator<number[]>) => Promise<unknown>): Promise<string[]> => {
      await use(generate(gpt, [[3], [4, 5]], { maxTokens: 5 })).catch(() => {});
      return runtime.memory.report().map(({ owner }) => owner).filter((owner) => owner === "session" || owner === "programs");
    };
    const before = await run(async () => {});
    expect(await run(async (tokens) => { for await (const _ of tokens) void _; })).toEqual(before);
    expect(await run(async (tokens) => { for await (const _ of tokens) break; })).toEqual(before);
    expect(await run(async (tokens) => { for await (const _ of tokens) throw new Error("enough"); })).toEqual(before);
    gpt.norm.weight.state!.write([NaN]);
    expect(await run(async (tokens) => { for await (const _ of tokens) void _; })).toEqual(before);
  });

  it("has as many pages as rows have ever needed at once, doubling from 8", async () => {
    const session = openSession(await trained.GPT(), { rows: 12 });
    const bytes = (): number => session["pool"]["block"].bytes;
    const page = bytes() / 8;
    for (let round = 0; round < 3; round++) {
      const rows = await session.open(Array.from({ length: 12 }, (_, i) => ({ tokens: randomIds(i, 130) })));
      expect(bytes()).toBe(64 * page); // 12 · 3 and page 0
      for (const row of rows) session.close(row);
    }
    session.dispose();
  });
});

describe("PagePool", () => {
  const layout = { layers: 1, keyValueHeads: 1, headSize: 2 };
  const create = async (poison = true): Promise<PagePool> => new PagePool(await createRuntime(), layout, poison);
  const fill = (pool: PagePool, page: number, value: number): void => pool.state.rowsFrom(page, 1).write(new Float32Array(pageElements(layout)).fill(value));
  const values = (pool: PagePool, page: number): Set<number> => new Set(pool.state.rowsFrom(page, 1).read());

  it("gives each page to one row at a time, never gives page 0, and keeps contents when it grows", async () => {
    const pool = await create();
    const pages = Array.from({ length: 40 }, () => pool.take());
    pages.forEach((page, i) => fill(pool, page, i));
    expect(new Set(pages).size).toBe(40);
    expect(pages).not.toContain(0);
    for (let i = 0; i < 100; i++) pages.push(pool.take());
    pages.slice(0, 40).forEach((page, i) => expect([...values(pool, page)]).toEqual([i]));
    expect(pool.used).toBe(140);
  });

  it("copies a shared page for the row that writes, and leaves the original to the other", async () => {
    const pool = await create();
    const page = pool.take();
    fill(pool, page, 7);
    expect(pool.writable(page)).toBe(page);
    expect(pool.share(page)).toBe(page);
    const copy = pool.writable(page);
    expect(copy).not.toBe(page);
    fill(pool, copy, 8);
    expect([values(pool, page), values(pool, copy), pool.used]).toEqual([new Set([7]), new Set([8]), 2]);
    expect([pool.writable(page), pool.writable(copy)]).toEqual([page, copy]);
  });

  it("reclaims a page when the last of its rows releases it", async () => {
    const pool = await create();
    const page = pool.take();
    pool.share(page);
    fill(pool, page, 7);
    pool.release(page);
    expect([values(pool, page), pool.used]).toEqual([new Set([7]), 1]);
    pool.release(page);
    expect([values(pool, page), pool.used]).toEqual([new Set([NaN]), 0]);
    expect(pool.take()).toBe(page);
  });

  it("fills pages with NaN when they are taken only if poison is set", async () => {
    for (const poison of [true, false]) {
      const pool = await create(poison);
      const page = pool.take();
      expect(values(pool, page)).toEqual(new Set([poison ? NaN : 0]));
      fill(pool, page, 7);
      pool.release(page);
      expect(values(pool, page)).toEqual(new Set([poison ? NaN : 7]));
    }
  });
});
