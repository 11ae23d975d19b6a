import { beforeAll, describe, expect, it } from "vitest";
import { generate } from "../../host/decode/generate";
import type { Row } from "../../host/decode/row";
import type { Sampler } from "../../host/decode/sampler";
import { distribution, draw, uniformOf } from "../kernels/sampling.oracle";
import { uniform } from "../random";
import { CONTEXT, openSession, promptOf, randomIds, trained, type TrainedModel, VOCABULARY } from "./trained";

const END = 4;
/** Samplers with and without penalties, biases, and tokens that depend on how many have been generated. */
const samplers: Sampler[] = [
  {}, { temperature: 1 }, { temperature: 0.8, topK: 5, topP: 0.9 }, { repetitionPenalty: 1.5 }, { repetitionPenalty: 1.3, temperature: 1.2 }, { presencePenalty: 1.5 },
  { frequencyPenalty: 0.8, temperature: 0.9 }, { noRepeatNGram: 3 }, { noRepeatNGram: 2, temperature: 1, repetitionPenalty: 0.8 }, { banned: [3, 5, 7], temperature: 1 },
  { logitBias: [[6, 2], [7, -4]], temperature: 1 }, { minTokens: 4, end: [END, 8], temperature: 2 }, { forced: [[0, 9], [3, 1], [4, 4]], temperature: 1 },
  { minTokens: 3, end: [END], forced: [[1, END]], banned: [6], temperature: 1.5, minP: 0.05 }, { typicalP: 0.8, temperature: 1.5, presencePenalty: 0.3, frequencyPenalty: 0.1 },
];

describe.each(["GPT", "Transformer"] as const)("rows of a %s", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const sampler = (next: () => number): Sampler & { seed: number } => ({ ...samplers[Math.floor(samplers.length * next())]!, seed: Math.floor(1000 * next()) });

  /** A row, and what the test knows of it on its own. */
  interface Tracked {
    row: Row;
    sampler: Sampler & { seed: number };
    tokens: number[];
    generated: number;
    draws: number;
  }

  it.each([1, 2, 3, 4])("choose what the f64 oracle chooses from their logits, through 300 random steps, forks, truncations, appended tokens and closings (seed %i)", async (seed) => {
    const next = uniform(seed);
    const pick = (n: number): number => Math.floor(n * next());
    const session = openSession(model, { rows: 7 });
    let open: Tracked[] = [];
    let compared = 0;
    for (let i = 0; i < 300; i++) {
      const kind = next();
      const one = open[pick(open.length)];
      if (!one || (kind < 0.08 && open.length < 7)) {
        const tokens = randomIds(pick(1000), 1 + pick(80));
        const settings = sampler(next);
        const [row] = await session.open([{ ...promptOf(model, tokens, pick(3)), ...settings }]);
        open.splice(pick(open.length + 1), 0, { row: row!, sampler: settings, tokens, generated: 0, draws: 0 });
      } else if (kind < 0.16 && open.length < 7) {
        const settings = { ...one.sampler, ...sampler(next) };
        open.splice(pick(open.length + 1), 0, { ...one, tokens: [...one.tokens], row: session.fork(one.row, settings), sampler: settings });
      } else if (kind < 0.24) {
        const n = 1 + pick(one.tokens.length);
        one.generated = Math.max(0, one.generated - (one.tokens.length - n));
        one.tokens.length = n;
        session.truncate(one.row, n);
      } else if (kind < 0.3 && one.tokens.length < CONTEXT - 25) {
        const tokens = randomIds(pick(1000), 1 + pick(20));
        await session.append(one.row, tokens);
        one.tokens.push(...tokens);
        one.generated = 0;
      } else if (kind < 0.35 || one.tokens.length > CONTEXT - 30) {
        open = open.filter((other) => other !== one);
        session.close(one.row);
      } else {
        const some = open.filter(() => next() < 0.8).sort(() => (kind < 0.5 ? next() - 0.5 : 0));
        const chosen = await session.step(some.map(({ row }) => row));
        some.forEach((each, r) => {
          const p = distribution(session.logits(each.row), { temperature: 0, ...each.sampler }, each.tokens, each.generated);
          const expected = draw(p, uniformOf([each.sampler.seed, 0], each.draws), 1e-4);
          if (expected !== null) expect([each.sampler, each.tokens, chosen[r]]).toEqual([each.sampler, each.tokens, expected]);
          if (expected !== null) compared++;
          each.tokens.push(chosen[r]!);
          each.generated++;
          each.draws++;
          expect(each.row.tokens).toEqual(each.tokens);
        });
      }
    }
    expect(compared).toBeGreaterThan(400);
    for (const { row } of open) session.close(row);
    expect(session["pool"].used).toBe(0);
    session.dispose();
  });

  it("with and without penalties choose the same tokens in company as alone", async () => {
    const prompts = samplers.map((settings, i) => ({ ...promptOf(model, randomIds(i, 3 + 9 * i), i % 3), ...settings, seed: i }));
    const alone: number[][] = [];
    for (const prompt of prompts) {
      const session = openSession(model);
      const [row] = await session.open([prompt]);
      for (let i = 0; i < 12; i++) await session.step([row!]);
      alone.push(row!.tokens);
      session.dispose();
    }
    const session = openSession(model, { rows: prompts.length });
    const rows: Row[] = [];
    for (let i = 0; rows.some(({ tokens }, r) => tokens.length < alone[r]!.length) || i < prompts.length; i++) {
      if (i < prompts.length) rows.push(...(await session.open([prompts[i]!]))); // penalties begin with the fourth, after three steps
      const active = rows.filter(({ tokens }, r) => tokens.length < alone[r]!.length);
      await session.step(i % 2 === 0 ? active : active.reverse());
    }
    expect(rows.map(({ tokens }) => tokens)).toEqual(alone);
    session.dispose();
  });

  it("can be asked for their logits after a fork that is the first to have penalties", async () => {
    const session = openSession(model);
    const [row] = await session.open([promptOf(model, [5, 6, 7])]);
    await session.step([row!]);
    const before = session.logits(row!).slice();
    session.fork(row!, { repetitionPenalty: 1.1 });
    expect(session.logits(row!)).toEqual(before);
    session.dispose();
  });

  it("whose samplers forbid every token throw a HeedError that says so, and are unchanged", async () => {
    const session = openSession(model);
    const [row, other] = (await session.open([{ ...promptOf(model, [5, 6]), banned: Array.from({ length: VOCABULARY }, (_, id) => id) }, promptOf(model, [5, 6])])) as [Row, Row];
    const message = "step: the logits of row 0 are NaN, or its sampler forbids every token; expected finite numbers. Has the model been trained?";
    for (let i = 0; i < 2; i++) await expect(session.step([row, other])).rejects.toThrow(message);
    expect([row.tokens, other.tokens]).toEqual([[5, 6], [5, 6]]);
    expect(await session.step([session.fork(row, { banned: [] })])).toEqual(await session.step([other]));
    session.dispose();
  });
});

describe("the biases of a session", () => {
  it("are shared by rows with equal ones, reused when released, and grow past four without disturbing rows", async () => {
    const model = await trained.GPT();
    const session = openSession(model, { rows: 12 });
    const only = (id: number): number[] => Array.from({ length: VOCABULARY }, (_, other) => other).filter((other) => other !== id);
    const open = (id: number): Promise<Row[]> => session.open([{ tokens: [5], banned: only(id) }]);
    const rows: Row[] = [];
    for (let id = 0; id < 11; id++) {
      rows.push(...(await open(id)));
      expect(await session.step(rows)).toEqual(rows.map((_, i) => i)); // each is allowed one token only
    }
    const uses = (): number[] => session.programs.slots.context!.biases["entries"].map(({ uses }) => uses);
    expect(uses()).toEqual(new Array(11).fill(1));
    const [twin] = await open(4);
    expect(await session.step([...rows, twin!])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 4]);
    expect(uses()[4]).toBe(2);
    for (const row of rows.splice(2)) session.close(row);
    for (let round = 0; round < 5; round++) {
      const [other] = await open(11 - round);
      expect(await session.step([twin!, other!, ...rows])).toEqual([4, 11 - round, 0, 1]);
      session.close(other!);
    }
    expect(uses().length).toBeLessThanOrEqual(12);
    expect(uses().reduce((a, b) => a + b)).toBeLessThanOrEqual(12); // one for each slot
    session.dispose();
  });
});

describe("generate", () => {
  it("draws n samples of each prompt as neighbouring rows with seeds of their own, which share the prompt's pages", async () => {
    const model = await trained.GPT();
    const session = openSession(model, { rows: 8 });
    const prompts = [randomIds(1, 140), randomIds(2, 70)];
    const options = { maxTokens: 8, temperature: 2, seed: 5 };
    const collect = async (given: Parameters<typeof generate>[1], more: object = {}): Promise<number[][]> => {
      const steps: number[][] = [];
      for await (const ids of generate(session, given, { ...options, ...more })) {
        if (steps.push(ids) === 1 && "samples" in more) expect(session["pool"].used).toBe(given.length === 2 ? 2 + 4 + 1 + 4 : 1); // full pages are shared
      }
      return steps[0]!.map((_, row) => steps.map((ids) => ids[row]!));
    };
    const rows = await collect(prompts, { samples: 4 });
    expect(rows).toEqual(await collect([0, 0, 0, 0, 1, 1, 1, 1].map((i) => prompts[i]!)));
    expect(new Set(rows.map((row) => row.join())).size).toBe(8);
    const own = await collect([{ tokens: prompts[0]!, seed: 5 }, { tokens: prompts[0]!, seed: 6 }]);
    expect(own).toEqual(rows.slice(0, 2));
    const steps: number[][] = [];
    for await (const ids of generate(model, [{ tokens: prompts[0]!, seed: 5 }], { ...options, seed: 0, samples: 3 })) steps.push(ids);
    expect([0, 1, 2].map((row) => steps.map((ids) => ids[row]!))).toEqual(rows.slice(0, 3));
    session.dispose();
  });
});
