import { describe, expect, it } from "vitest";
import { score } from "../../host/decode/score";
import { Session } from "../../host/decode/session";
import { HeedError } from "../../host/errors";
import { Graph } from "../../host/graph/graph";
import { compile } from "../../host/graph/program";
import { GPT } from "../../host/models/gpt";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { randomArray } from "../random";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const CONTEXT = 80;
const V = 13;
const model = new GPT({ vocabulary: V, block: CONTEXT, layers: 2, heads: 2, width: 16 }).place(runtime, { seed: 3 });
const randomIds = (seed: number, n: number): number[] => Array.from(randomArray(n, seed, 0, V), Math.floor);

/** log softmax in f64 of the uncached logits of `tokens`, at the tokens that follow. */
function oracle(tokens: readonly number[]): number[] {
  const graph = new Graph(runtime);
  const input = graph.input([1, tokens.length - 1], "i32");
  const logits = graph.keep(model.logits(model.forward(input)));
  const program = compile(graph);
  program.write(input, tokens.slice(0, -1));
  program.run();
  const values = program.read(logits);
  program.dispose();
  return tokens.slice(1).map((id, t) => {
    const row = [...values.subarray(t * V, (t + 1) * V)];
    const most = Math.max(...row);
    return row[id]! - most - Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
  });
}

describe("score", () => {
  it.each([2, 3, 64, 65, 66, CONTEXT, CONTEXT + 1])("gives %i tokens the log-probabilities of the uncached model to 2e-6, and their perplexity", async (n) => {
    const tokens = randomIds(n, n);
    const { logProbabilities, perplexity } = await score(model, tokens);
    const expected = oracle(tokens);
    expect(logProbabilities.length).toBe(n - 1);
    logProbabilities.forEach((value, i) => expect(Math.abs(value - expected[i]!), `token ${i + 1}`).toBeLessThan(2e-6));
    expect(perplexity).toBeCloseTo(Math.exp(-expected.reduce((a, b) => a + b) / expected.length), 4);
  });

  it.each([1, 7, 40, CONTEXT])("reads a text of 200 tokens in windows that advance by %i: each token sees the longest window that starts before it", async (stride) => {
    const tokens = randomIds(9, 200);
    const seen: number[] = [];
    const { logProbabilities } = await score(model, tokens, { stride, onProgress: (scored) => seen.push(scored) });
    let start = 0;
    for (let i = 1; i < tokens.length; i++) {
      while (i > start + CONTEXT) start += stride;
      expect(Math.abs(logProbabilities[i - 1]! - oracle(tokens.slice(start, i + 1)).at(-1)!), `token ${i}`).toBeLessThan(2e-6);
    }
    expect(seen.at(-1)).toBe(200);
  });

  it("continues a row of a session: the bits are those of the whole text, and the row can then be decoded", async () => {
    const session = new Session(model, { rows: 2, poison: true });
    const tokens = randomIds(4, 70);
    const whole = [...(await score(model, tokens)).logProbabilities];
    const [row, same] = await session.open([{ tokens: tokens.slice(0, 30) }, { tokens }]);
    expect(await session.score(row!, tokens.slice(30))).toEqual(whole.slice(29));
    expect(await session.score(row!, [])).toEqual([]);
    expect(await session.step([row!])).toEqual(await session.step([same!]));
    session.dispose();
  });

  it("scores the target of a Transformer through its session", async () => {
    const transformer = new Transformer({ ...transformerPresets.tiny, vocabulary: V }).place(runtime, { seed: 1 });
    const session = new Session(transformer, { rows: 1, alternatives: V });
    const [row] = await session.open([{ source: [5, 6, 7], tokens: [1] }]);
    const stepped: number[] = [];
    for (let i = 0; i < 5; i++) {
      await session.step([row!]);
      stepped.push(row!.logProbability!);
    }
    const target = row!.tokens.slice(1);
    session.truncate(row!, 1);
    expect(await session.score(row!, target)).toEqual(stepped);
    session.dispose();
    transformer.dispose();
  });

  it.each<[readonly number[], object, Error]>([
    [[], {}, new RangeError("score: expected at least 2 tokens, got 0: the first is not predicted")],
    [[3], {}, new RangeError("score: expected at least 2 tokens, got 1: the first is not predicted")],
    [[3, V], {}, new RangeError(`score: token ids must be integers in [0, ${V}), got ${V} at position 1`)],
    [[3, 4], { stride: 0 }, new RangeError("score: stride: expected an integer of at least 1, got 0")],
    [[3, 4], { stride: 81 }, new RangeError("score: expected a stride of at most the context of 80 tokens, got 81")],
    [[3, 4], { strides: 8 }, new TypeError('score: unknown field "strides"; did you mean "stride"?')],
  ])("refuses %j with %j", async (tokens, options, error) => {
    await expect(score(model, tokens, options)).rejects.toThrow(error);
  });

  it("reports NaN, and leaves the row as it was", async () => {
    const broken = new GPT({ vocabulary: V, block: 8, layers: 1, heads: 2, width: 16 }).place(runtime, { seed: 3 });
    const weights = broken.weights.read();
    broken.weights.write(new Map([...weights].map(([name, { data }]) => [name, { data: name === "norm.weight" ? data.map(() => NaN) : data }])));
    const session = new Session(broken);
    const [row] = await session.open([{ tokens: [3] }]);
    await expect(session.score(row!, [4, 5])).rejects.toThrow(new HeedError("data", "score: the logits of token 0 are NaN. Has the model been trained?"));
    expect([row!.tokens, row!.generated]).toEqual([[3], 0]);
    session.dispose();
    broken.dispose();
  });
});
