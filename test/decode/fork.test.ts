import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import type { Session } from "../../host/decode/session";
import { PAGE_TOKENS } from "../../host/graph/ops/keyvalues";
import { type Family, openSession, promptOf, randomIds, trained, type TrainedModel } from "./trained";

const used = (session: Session): number => session["pool"].used;
const isShared = (session: Session, page: number): boolean => session["pool"]["uses"][page]! > 1;

/** Steps rows together n times, and returns each row's new tokens and logits. */
async function steps(session: Session, rows: readonly Row[], n: number): Promise<{ tokens: number[]; logits: number[] }[]> {
  const results = rows.map(() => ({ tokens: [] as number[], logits: [] as number[] }));
  for (let i = 0; i < n; i++) {
    const chosen = await session.step(rows);
    rows.forEach((row, r) => {
      results[r]!.tokens.push(chosen[r]!);
      results[r]!.logits.push(...new Int32Array(session.logits(row).buffer));
    });
  }
  return results;
}

describe.each(Object.keys(trained) as Family[])("rows of a %s", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const open = async (session: Session, length: number, sampler: object = {}): Promise<Row> =>
    (await session.open([{ ...promptOf(model, randomIds(length, length)), temperature: 1, seed: 3, ...sampler }]))[0]!;
  const sourcePages = (): number => (family === "Transformer" ? 2 : 0); // of source 1, 72 tokens

  /** The outcome of n steps of an unshared row with the same tokens. */
  async function expected(tokens: readonly number[], n: number, sampler: object, draws = 0): Promise<{ tokens: number[]; logits: number[] }> {
    const session = openSession(model);
    const [row] = await session.open([{ ...promptOf(model, tokens), temperature: 1, seed: 3, ...sampler }]);
    row!.draws = draws;
    const [result] = await steps(session, [row!], n);
    session.dispose();
    return result!;
  }

  // A row of n tokens has n − 1 stored tokens before the fork.
  it.each([1, 2, 40, 63, 64, 65, 66, 128, 129, 130])("of %i tokens share their pages after a fork; the first row to write to the last page copies it", async (length) => {
    const session = openSession(model);
    const row = await open(session, length);
    const stored = length - 1;
    const pages = Math.ceil(stored / PAGE_TOKENS);
    expect(used(session)).toBe(pages + sourcePages());
    const copy = session.fork(row);
    expect(copy.tokens).toEqual(row.tokens);
    expect(used(session)).toBe(pages + sourcePages());
    expect(copy.pages).toEqual(row.pages);

    await session.step([copy]);
    const full = Math.floor(stored / PAGE_TOKENS);
    expect(copy.pages.slice(0, full)).toEqual(row.pages.slice(0, full));
    expect(used(session)).toBe(pages + 1 + sourcePages());
    expect(row.pages.filter((page) => isShared(session, page))).toEqual(row.pages.slice(0, full));
    await session.step([row]);
    expect(used(session)).toBe(full + 2 + sourcePages());
    expect(copy.tokens).toEqual(row.tokens);
    session.dispose();
  });

  it.each([1, 64, 65, 100, 129])("of %i tokens diverge after a fork, each like an unshared row", async (length) => {
    const session = openSession(model);
    const row = await open(session, length);
    const before = [...row.tokens];
    const fork = session.fork(row, { seed: 99, temperature: 2 });
    const twin = session.fork(fork, { topK: 3 });
    const results = await steps(session, [row, fork, twin], 12);
    expect(results[0]).toEqual(await expected(before, 12, {}));
    expect(results[1]).toEqual(await expected(before, 12, { seed: 99, temperature: 2 }));
    expect(results[2]).toEqual(await expected(before, 12, { seed: 99, temperature: 2, topK: 3 }));
    expect(results[1]!.tokens).not.toEqual(results[0]!.tokens);
    session.dispose();
  });

  it("are unaffected by a fork midway: the same seed draws the same tokens", async () => {
    const session = openSession(model);
    const row = await open(session, 60);
    await steps(session, [row], 7);
    const fork = session.fork(row);
    const [ours] = await steps(session, [row], 9);
    const [theirs] = await steps(session, [fork], 9);
    expect(theirs).toEqual(ours);
    session.dispose();
  });

  it("leave a fork's pages and source intact when they are closed", async () => {
    const session = openSession(model);
    const row = await open(session, 100);
    const before = [...row.tokens];
    const fork = session.fork(row, { seed: 8 });
    session.close(row);
    const other = await open(session, 120); // would take the pages if they were free
    const [result] = await steps(session, [fork, other], 10);
    expect(result).toEqual(await expected(before, 10, { seed: 8 }));
    session.close(fork);
    session.close(other);
    expect(used(session)).toBe(0);
    session.dispose();
  });

  it.each([[100, 99], [100, 70], [100, 66], [100, 65], [100, 64], [100, 2], [100, 1], [130, 129], [130, 66]])("of %i tokens truncated to %i continue like rows of those tokens", async (length, n) => {
    const session = openSession(model);
    const row = await open(session, length);
    session.truncate(row, n);
    expect(row.tokens).toEqual(randomIds(length, length).slice(0, n));
    expect(used(session)).toBe(Math.ceil((n - 1) / PAGE_TOKENS) + sourcePages());
    const [result] = await steps(session, [row], 8);
    expect(result).toEqual(await expected(randomIds(length, length).slice(0, n), 8, {}));
    session.dispose();
  });

  it("that are greedy give the same tokens and bits when truncated and stepped again", async () => {
    const session = openSession(model);
    const row = await open(session, 60, { temperature: 0 });
    const [first] = await steps(session, [row], 20);
    session.truncate(row, 60);
    expect((await steps(session, [row], 20))[0]).toEqual(first);
    session.dispose();
  });

  it("that are sampled draw the next random numbers of their seed when truncated and stepped again", async () => {
    const session = openSession(model);
    const row = await open(session, 60, { temperature: 3 });
    const [first] = await steps(session, [row], 20);
    session.truncate(row, 60);
    const [second] = await steps(session, [row], 20);
    expect(second!.tokens).not.toEqual(first!.tokens);
    expect(second).toEqual(await expected(row.tokens.slice(0, 60), 20, { temperature: 3 }, 20));
    session.dispose();
  });

  it.each([40, 63, 64, 65, 66, 100])("truncated to %i tokens within pages shared with a fork, then appended to, do not affect the fork", async (n) => {
    const session = openSession(model);
    const row = await open(session, 110);
    const before = [...row.tokens];
    const fork = session.fork(row, { seed: 5 });
    session.truncate(row, n);
    const appended = randomIds(1234, 20);
    await session.append(row, appended);
    const [ours, theirs] = await steps(session, [row, fork], 6);
    expect(ours).toEqual(await expected([...before.slice(0, n), ...appended], 6, {}));
    expect(theirs).toEqual(await expected(before, 6, { seed: 5 }));
    session.dispose();
  });

  it("cannot be truncated to more tokens than they have, or to none", async () => {
    const session = openSession(model);
    const row = await open(session, 5);
    for (const n of [0, -1, 6, 1.5, NaN, undefined]) expect(() => session.truncate(row, n as number)).toThrow(new RangeError(`truncate: expected 1 to 5 tokens, got ${n}`));
    session.truncate(row, 5);
    session.dispose();
  });

  it("reuse pages of closed or truncated rows, whatever their contents", async () => {
    const session = openSession(model, { rows: 4 });
    const outcomes: unknown[] = [];
    for (let round = 0; round < 6; round++) {
      const rows = [await open(session, 100 + round), await open(session, 20 * round + 1), await open(session, 70)];
      await steps(session, rows, 3);
      session.truncate(rows[0]!, 50);
      session.close(rows[1]!);
      const row = await open(session, 90);
      outcomes.push((await steps(session, [rows[2]!, row, rows[0]!], 12))[1]);
      for (const row of [...rows]) session.close(row);
      session.close(row);
    }
    for (const outcome of outcomes) expect(outcome).toEqual(await expected(randomIds(90, 90), 12, {}));
    expect(used(session)).toBe(0);
    session.dispose();
  });
});
