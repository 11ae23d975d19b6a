import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Row } from "../../host/decode/row";
import type { Session } from "../../host/decode/session";
import type * as sharing from "../../host/graph/sharing";
import { copyOf, createThreads, type Family, openSession, promptOf, randomIds, trained, type TrainedModel } from "./trained";

// Every instruction is divided among all threads, however small it is.
vi.mock(import("../../host/graph/sharing"), async (load) => {
  const original: typeof sharing = await load();
  return { ...original, share: (graph, plan, threads) => original.share(graph, plan, threads, 0) };
});

/** The outcome of a row: its tokens, and the bits of each step's logits. */
interface Outcome {
  tokens: number[];
  logits: number[];
}

/** Rows by number: prompts of 1 to 141 tokens, greedy and sampled, for 8 to 32 steps. */
const lengthOf = (i: number): number => 1 + ((i * 70) % 142);
const stepsOf = (i: number): number => 8 + ((i * 7) % 25);
const prompt = (model: TrainedModel, i: number) => ({ ...promptOf(model, randomIds(50 + i, Math.min(lengthOf(i), 118)), i), temperature: i % 3, topK: i % 2 === 0 ? 0 : 5, seed: 900 + i });

class Recorder {
  readonly outcomes = new Map<number, Outcome>();
  private readonly logits = new Map<number, number[]>();

  constructor(private readonly session: Session) {}

  /** Steps rows by number, and closes those that have finished. */
  async step(rows: Map<number, Row>): Promise<void> {
    await this.session.step([...rows.values()]);
    for (const [i, row] of rows) {
      const all = this.logits.get(i) ?? [];
      this.logits.set(i, [...all, ...new Int32Array(this.session.logits(row).buffer)]);
      if (all.length / this.session.model.vocabulary + 1 < stepsOf(i)) continue;
      this.outcomes.set(i, { tokens: [...row.tokens], logits: this.logits.get(i)! });
      this.session.close(row);
      rows.delete(i);
    }
  }
}

async function alone(model: TrainedModel, i: number): Promise<Outcome> {
  const session = openSession(model);
  const [row] = await session.open([prompt(model, i)]);
  const recorder = new Recorder(session);
  const rows = new Map([[i, row!]]);
  while (rows.size > 0) await recorder.step(rows);
  session.dispose();
  return recorder.outcomes.get(i)!;
}

/** `count` rows; a new one joins every `every` steps, after or before the others. */
async function together(model: TrainedModel, count: number, every: number, inFront: boolean): Promise<Map<number, Outcome>> {
  const session = openSession(model);
  const recorder = new Recorder(session);
  let rows = new Map<number, Row>();
  for (let step = 0, next = 0; next < count || rows.size > 0; step++) {
    if (next < count && (every === 0 || step % every === 0)) {
      const joining = every === 0 ? count : 1;
      const opened = await session.open(Array.from({ length: joining }, (_, i) => prompt(model, next + i)));
      const added = opened.map((row, i): [number, Row] => [next + i, row]);
      rows = new Map(inFront ? [...added, ...rows] : [...rows, ...added]);
      next += joining;
    }
    await recorder.step(rows);
  }
  expect(session["pool"].used).toBe(0);
  session.dispose();
  return recorder.outcomes;
}

describe.each(Object.keys(trained) as Family[])("rows of a %s", (family) => {
  const ROWS = 9;
  let models: Record<string, TrainedModel>;
  const expected: Outcome[] = [];
  beforeAll(async () => {
    const model = await trained[family]();
    models = { "1 thread": model, "2 threads": copyOf(model, await createThreads()) };
    for (let i = 0; i < ROWS; i++) expected.push(await alone(model, i));
  });
  afterAll(() => models["2 threads"]!.weights.runtime.dispose());

  it("differ from each other", () => expect(new Set(expected.map(({ tokens }) => tokens.join())).size).toBe(ROWS));

  describe.each(["1 thread", "2 threads"])("on %s", (threads) => {
    it("have the same bits when decoded alone", async () => {
      for (let i = 0; i < ROWS; i++) expect(await alone(models[threads]!, i)).toEqual(expected[i]);
    });

    it.each([2, 3, 4, 5, 6, 7, 8, 9])("have the same bits in a batch of %i whose rows end one after another", async (count) => {
      const outcomes = await together(models[threads]!, count, 0, false);
      for (let i = 0; i < count; i++) expect(outcomes.get(i)).toEqual(expected[i]);
    });

    it.each([[1, false], [3, false], [1, true], [4, true]])("have the same bits if a row joins every %i steps, at the front: %s", async (every, inFront) => {
      const outcomes = await together(models[threads]!, ROWS, every, inFront);
      for (let i = 0; i < ROWS; i++) expect(outcomes.get(i)).toEqual(expected[i]);
    });
  });
});
