import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Cell } from "../../assembly/layouts";
import type { DType } from "../../host/graph/formats";
import { Graph } from "../../host/graph/graph";
import * as heed from "../../host/index";
import type { Tensor } from "../../host/graph/tensor";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the point is to pass what the types reject
type Any = any;

/** An exported op on inputs of the right dtypes: f32 for plain shapes; `W` accepts any weight format. */
interface Case {
  op: keyof typeof heed;
  inputs: (number[] | { i32: number[] } | { W: number[] })[];
  record: (...inputs: Any[]) => unknown;
}
const i32 = (...shape: number[]): { i32: number[] } => ({ i32: shape });
const W = (...shape: number[]): { W: number[] } => ({ W: shape });
const layout: heed.PageLayout = { layers: 1, keyValueHeads: 1, headSize: 4 };
const pool = [2, 2 * 4 * 64];

const cases: Case[] = [
  { op: "activate", inputs: [[2, 3]], record: (x) => heed.activate(x, heed.Activation.Silu) },
  { op: "relu", inputs: [[2, 3]], record: heed.relu },
  { op: "gelu", inputs: [[2, 3]], record: heed.gelu },
  { op: "geluTanh", inputs: [[2, 3]], record: heed.geluTanh },
  { op: "silu", inputs: [[2, 3]], record: heed.silu },
  { op: "add", inputs: [[2, 3], [2, 3]], record: heed.add },
  { op: "multiply", inputs: [[2, 3], [2, 3]], record: heed.multiply },
  { op: "scale", inputs: [[2, 3]], record: (x) => heed.scale(x, 2) },
  { op: "transpose", inputs: [[2, 3]], record: heed.transpose },
  { op: "gatherRows", inputs: [[2, 3, 4], i32(2)], record: heed.gatherRows },
  { op: "dropout", inputs: [[2, 3], [2, 3]], record: (x, residual) => heed.dropout(x, 0.5, residual) },
  { op: "softmax", inputs: [[2, 3]], record: heed.softmax },
  { op: "layerNorm", inputs: [[2, 3], [3], [3]], record: heed.layerNorm },
  { op: "rmsNorm", inputs: [[2, 3], [3]], record: heed.rmsNorm },
  { op: "linear", inputs: [[2, 3], W(4, 3), [4]], record: heed.linear },
  { op: "matmul", inputs: [[2, 3], [3, 4]], record: heed.matmul },
  { op: "embedding", inputs: [i32(2, 3), W(5, 4)], record: heed.embedding },
  { op: "addPositions", inputs: [[2, 3, 4], [5, 4], i32(2)], record: heed.addPositions },
  { op: "rotary", inputs: [[2, 3, 8], [5, 4], i32(2)], record: (x, table, past) => heed.rotary(x, table, { heads: 2, headSize: 4 }, past) },
  { op: "selfAttention", inputs: [[2, 3, 12], i32(2), i32(2), [1, 1, 3, 3]], record: (x, lengths, past, bias) => heed.selfAttention(x, { heads: 1, lengths, past, bias }) },
  { op: "crossAttention", inputs: [[2, 3, 4], [2, 5, 8], i32(2), i32(2), [1, 1, 3, 5]], record: (q, kv, lengths, past, bias) => heed.crossAttention(q, kv, { heads: 1, lengths, past, bias }) },
  {
    op: "KeyValues", inputs: [[2, 3, 12], pool, i32(2, 1), i32(2), i32(2)],
    record: (x, pool, pages, past, counts) => heed.selfAttention(x, { heads: 1 }, new heed.KeyValues(layout, pool, pages, past, counts).layer(0)),
  },
  { op: "crossEntropy", inputs: [[2, 3], W(5, 3), i32(2), [Cell.Bytes / 4]], record: (x, w, targets, cells) => heed.crossEntropy(x, w, targets).forward(cells) },
  { op: "argmax", inputs: [[2, 3]], record: heed.argmax },
  { op: "extendBeams", inputs: [[4, 3], [4]], record: (logits, scores) => heed.extendBeams(logits as Tensor, scores as Tensor, { width: 2, count: 2 }) },
  { op: "sample", inputs: [[2, 3], i32(2, heed.samplerSettings({ temperature: 1, topK: 0, seed: 0 }).length)], record: heed.sample },
];

const dtypesOf = (input: Case["inputs"][number]): { shape: number[]; accepted: DType[] } => {
  if (Array.isArray(input)) return { shape: input, accepted: ["f32"] };
  return "i32" in input ? { shape: input.i32, accepted: ["i32"] } : { shape: input.W, accepted: ["f32", "bf16", "panels", "int8", "int8row", "int4"] };
};
const record = ({ inputs, record }: Case, wrong?: { input: number; dtype: DType }): unknown => {
  const graph = new Graph(runtime, { training: true });
  return record(...inputs.map((input, i) => {
    const { shape, accepted } = dtypesOf(input);
    return graph.input(shape, i === wrong?.input ? wrong.dtype : accepted[0]!);
  }));
};

describe("every exported op rejects an operand of the wrong dtype when it is recorded", () => {
  it("and the table above contains them all", async () => {
    const folder = new URL("../../host/graph/ops/", import.meta.url);
    const modules = await Promise.all(readdirSync(folder).map((file) => import(/* @vite-ignore */ new URL(file, folder).href) as Promise<object>));
    const defined = new Set(modules.flatMap((module) => Object.values(module) as unknown[]));
    const ops = Object.entries(heed).filter(([, value]) => typeof value === "function" && defined.has(value)).map(([name]) => name);
    const notOps = ["samplerSettings", "LayerKeyValues", "lengthPenalties"]; // written by the host; returned by KeyValues.layer; without inputs
    expect([...new Set(cases.map(({ op }) => op)), ...notOps].sort()).toEqual(ops.sort());
  });

  it.each(cases.map((example) => [example.op, example] as const))("%s", (_, op) => {
    expect(() => record(op), "with the right dtypes").not.toThrow();
    op.inputs.forEach((input, i) => {
      const { accepted } = dtypesOf(input);
      for (const dtype of (["f32", "i32", "f64", "bf16", "panels"] as const).filter((dtype) => !accepted.includes(dtype))) {
        const attempt = (): unknown => record(op, { input: i, dtype });
        expect(attempt, `input ${i} of ${dtype}`).toThrow(TypeError);
        expect(attempt).toThrow(new RegExp(`^\\w+: .*expected .*, got ${dtype}$`));
      }
      for (const dtype of accepted) expect(() => record(op, { input: i, dtype }), `input ${i} of ${dtype}`).not.toThrow();
    });
  });

  it("and so does the compiler", () => {
    const graph = new Graph(runtime);
    const [ids, exact, x] = [graph.input([2], "i32"), graph.input([2], "f64"), graph.input([2])];
    const refused: (() => unknown)[] = [
      // @ts-expect-error f64 for f32
      () => heed.scale(exact, 2),
      // @ts-expect-error i32 for f32
      () => heed.add(x, ids),
      // @ts-expect-error f32 for i32
      () => heed.embedding(x, graph.input([3, 2])),
      // @ts-expect-error reading i32 returns an Int32Array
      () => ((read: Float32Array) => read)(program.read(ids)),
    ];
    const y: Tensor = heed.scale(x, 2);
    graph.keep(y);
    const program = heed.compile(graph);
    for (const attempt of refused) expect(attempt).toThrow();
  });
});
