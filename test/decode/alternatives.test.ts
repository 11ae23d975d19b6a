import { beforeAll, describe, expect, it } from "vitest";
import type { Row } from "../../host/decode/row";
import { Session } from "../../host/decode/session";
import { type Family, openSession, promptOf, randomIds, trained, type TrainedModel, VOCABULARY } from "./trained";

describe.each(Object.keys(trained) as Family[])("a session of a %s with alternatives", (family) => {
  let model: TrainedModel;
  beforeAll(async () => (model = await trained[family]()));
  const prompts = (): object[] => [
    {}, { temperature: 2, seed: 3 }, { temperature: 1.5, topK: 3, seed: 1 }, { repetitionPenalty: 2, temperature: 1, seed: 2 }, { banned: [3, 4, 5, 6, 7], temperature: 1, seed: 8 }, { forced: [[1, 2]] },
  ].map((sampler, i) => ({ ...promptOf(model, randomIds(i, 3 + 20 * i), i), ...sampler }));

  it.each([0, 1, 3, VOCABULARY, 100])("of %i reports log softmax of the unadjusted logits within 1e-6, and the most likely tokens in descending order", async (alternatives) => {
    const session = openSession(model, { alternatives });
    const rows = await session.open(prompts() as never);
    const [first] = rows as [Row];
    expect([first.logProbability, first.alternatives]).toEqual([undefined, []]);
    for (let step = 0; step < 8; step++) {
      const some = rows.slice(step % 3);
      await session.step(some);
      for (const row of some) {
        const logits = [...session.logits(row)];
        const largest = Math.max(...logits);
        const logTotal = largest + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - largest), 0));
        expect(Math.abs(row.logProbability! - (logits[row.tokens.at(-1)!]! - logTotal))).toBeLessThan(1e-6 * Math.max(1, Math.abs(row.logProbability!)));
        const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, alternatives);
        expect(row.alternatives.map(({ id }) => logits[id])).toEqual(order.map((id) => logits[id]));
        expect(new Set(row.alternatives.map(({ id }) => id)).size).toBe(order.length);
        for (const { id, logProbability } of row.alternatives) expect(Math.abs(logProbability - (logits[id]! - logTotal))).toBeLessThan(1e-6 * Math.max(1, Math.abs(logProbability)));
      }
    }
    session.dispose();
  });

  it("chooses the same tokens as one without, which reports neither", async () => {
    const outcomes = [];
    for (const options of [{}, { alternatives: 4 }]) {
      const session = openSession(model, options);
      const rows = await session.open(prompts() as never);
      for (let step = 0; step < 8; step++) await session.step(rows);
      outcomes.push(rows.map(({ tokens }) => tokens));
      if (!("alternatives" in options)) for (const row of rows) expect([row.logProbability, row.alternatives]).toEqual([undefined, []]);
      session.dispose();
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  });
});

it.each<[unknown, string]>([[-1, "-1"], [1.5, "1.5"], [101, "101"], [true, "true"]])("a session refuses %j alternatives", async (alternatives, got) => {
  const model = await trained.GPT();
  expect(() => new Session(model, { alternatives } as never)).toThrow(`Session: alternatives: expected an integer from 0 to 100, got ${got}`);
});
