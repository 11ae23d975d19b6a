import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import type { Session } from "../../host/decode/session";
import { sizeFor } from "../../host/decode/size";
import { type Family, openSession, randomIds, sourceOf, START, trained, type TrainedModel } from "./trained";

const used = (session: Session): number => session["pool"].used;
type Given = { tokens: readonly number[]; source?: readonly number[] };

describe.each(Object.keys(trained) as Family[])("prompts of a %s", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const source = { source: sourceOf(1) }; // 72 tokens
  const promptOf = (tokens: readonly number[], other: object = source): Given => (family === "Transformer" ? { tokens, ...other } : { tokens });
  const sourcePages = (): number => (family === "Transformer" ? 2 : 0);

  /** The tokens and the bits of the logits of 10 steps. */
  async function bits(session: Session, rows: readonly Row[]): Promise<{ tokens: number[]; logits: number[] }[]> {
    const logits: number[][] = rows.map(() => []);
    for (let i = 0; i < 10; i++) {
      await session.step(rows);
      rows.forEach((row, r) => logits[r]!.push(...new Int32Array(session.logits(row).buffer)));
    }
    return rows.map((row, r) => ({ tokens: [...row.tokens], logits: logits[r]! }));
  }

  async function alone(prompt: Given): Promise<{ tokens: number[]; logits: number[] }> {
    const session = openSession(model);
    const [result] = await bits(session, await session.open([prompt]));
    session.dispose();
    return result!;
  }

  /** How many tokens of prompts were computed. */
  function countReads(session: Session): { tokens: number } {
    const count = { tokens: 0 };
    const { programs } = session;
    const prompt = programs.prompt.bind(programs);
    programs.prompt = (length) => ((count.tokens += length), prompt(length));
    return count;
  }

  const common = randomIds(7, 130);
  it.each([9, 10, 63, 64, 65, 66, 100, 128, 129, 130])("with %i tokens in common have the bits they have alone, and share full pages", async (n) => {
    const prompts = [promptOf([...common.slice(0, n), 3, 4]), promptOf([...common.slice(0, n), 5]), promptOf([...common.slice(0, n), 3, 6, 7, 8])];
    const expected = [];
    for (const prompt of prompts) expected.push(await alone(prompt));
    for (const together of [true, false]) {
      const session = openSession(model, { pieces: [16] });
      const reads = countReads(session);
      const rows = together ? await session.open(prompts) : [...(await session.open(prompts.slice(0, 1))), ...(await session.open(prompts.slice(1)))];
      expect(reads.tokens).toBeLessThanOrEqual(16 * (Math.ceil((n + 1) / 16) + 2)); // the first prompt, and what the others have besides
      const full = Math.floor(n / 64);
      for (const row of rows) expect(row.pages.slice(0, full)).toEqual(rows[0]!.pages.slice(0, full));
      expect(used(session)).toBeLessThanOrEqual(sourcePages() + full + 3 + 2);
      expect(await bits(session, rows)).toEqual(expected);
      for (const row of rows) session.close(row);
      expect(used(session)).toBe(0);
      session.dispose();
    }
  });

  it.each([9, 64, 65, 66, 100])("of %i tokens with which an open row begins have the bits they have alone", async (n) => {
    const expected = await alone(promptOf(common.slice(0, n)));
    const session = openSession(model);
    const [, row] = await session.open([promptOf(common), promptOf(common.slice(0, n))]);
    expect(await bits(session, [row!])).toEqual([expected]);
    session.dispose();
  });

  it("with fewer than 8 tokens in common, or other sources, share nothing", async () => {
    const session = openSession(model);
    const [first, second] = (await session.open([promptOf(common.slice(0, 80)), promptOf([...common.slice(0, 7), ...randomIds(3, 60)])])) as [Row, Row];
    expect(second.pages.some((page) => first.pages.includes(page))).toBe(false);
    if (family === "Transformer") {
      const [third] = (await session.open([promptOf(common.slice(0, 80), { source: sourceOf(2) })])) as [Row];
      expect([...third.pages, ...third.sourcePages].some((page) => [...first.pages, ...first.sourcePages].includes(page))).toBe(false);
    }
    session.dispose();
  });

  it("share with rows that have generated tokens, that wait for a token, or that are closed later", async () => {
    const session = openSession(model);
    const [first] = (await session.open([promptOf(common.slice(0, 70))])) as [Row];
    for (let i = 0; i < 5; i++) await session.step([first]);
    await session.expand([[first]], [[0]], { width: 1, count: 2 });
    const tokens = [...first.tokens, 3, 4];
    const expected = await alone(promptOf(tokens));
    const reads = countReads(session);
    const [second] = (await session.open([promptOf(tokens)])) as [Row];
    expect(reads.tokens).toBe(16);
    session.close(first);
    expect(await bits(session, [second])).toEqual([expected]);
    session.dispose();
  });
});

describe("a source", () => {
  it("is shared by rows opened while it is being encoded for others, and outlives the row it was shared with", async () => {
    const model = await trained.Transformer();
    const session = openSession(model, { rows: 50 });
    const many = Array.from({ length: 40 }, (_, i) => ({ tokens: [START], source: randomIds(i, 140 - i) })); // more than are encoded at once
    const [[row], rows] = await Promise.all([
      session.open([{ tokens: [START], source: many[39]!.source }]).then(async (opened) => (await session.step(opened), opened)), session.open(many),
    ]);
    await session.step([rows[39]!]);
    expect(row!.tokens).toEqual(rows[39]!.tokens);
    const opening = session.open([...many.slice(2, 4), { tokens: [START, 5], source: randomIds(99, 20) }, { tokens: [START, 5], source: many[0]!.source }]);
    for (const open of rows) session.close(open); // while the new source is being encoded
    const [, , , last] = await opening;
    const other = openSession(model);
    const expected = await other.open([{ tokens: [START, 5], source: many[0]!.source }]);
    for (let i = 0; i < 6; i++) expect(await session.step([last!])).toEqual(await other.step(expected));
    session.dispose();
    other.dispose();
  });
});

it("sizeFor rounds up to 1, 2, 4, 8, 10, 12, 14, 16, 20, …: four sizes to an octave, at most a fifth more than needed above 8", () => {
  const sizes = [...new Set(Array.from({ length: 160 }, (_, i) => sizeFor(i + 1)))];
  expect(sizes).toEqual([1, 2, 4, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160]);
  for (let n = 1; n <= 5000; n++) {
    expect(sizeFor(n)).toBeGreaterThanOrEqual(n);
    if (n > 8) expect((sizeFor(n) - n) / sizeFor(n)).toBeLessThan(0.2);
    expect(sizeFor(sizeFor(n))).toBe(sizeFor(n));
  }
});
