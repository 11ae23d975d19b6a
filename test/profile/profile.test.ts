import { describe, expect, it } from "vitest";
import { machineLimits } from "../../host/core/limit";
import { Graph } from "../../host/graph/graph";
import { scale } from "../../host/graph/ops/elementwise";
import { linear } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import { compile } from "../../host/graph/program";
import { type Profile, profile, type ProfileLine } from "../../host/profile/profile";
import { byKernel, byLayer, total } from "../../host/profile/summary";
import { chromeTrace } from "../../host/profile/trace";
import { createRuntime } from "../graph/runtime";

const line = (name: string, layer: string, ms: number, more: Partial<ProfileLine> = {}): ProfileLine =>
  ({ name, layer, ms, backward: false, outputs: [], inputs: [], flops: 0, bytes: 0, ...more });

// A machine with 10 FLOP and 2 bytes per millisecond.
const example: Profile = {
  runs: 5,
  limits: { flops: 10, bytes: 2 },
  lines: [
    line("matmul", "layers.0.attention.query", 2, { flops: 10, bytes: 1 }),
    line("matmul", "layers.0.attention.output", 2, { flops: 20, bytes: 1 }),
    line("add", "layers.0", 1, { flops: 1, bytes: 4 }),
    line("fill", "", 1, { bytes: 1 }),
    line("matmul", "layers.0.attention.output", 4, { flops: 30, bytes: 3, backward: true }),
  ],
};

describe("machineLimits", () => {
  it.each(["simd", "relaxed"] as const)("counts the work of the %s loops: whole iterations of ten multiplications, whole reads of 192 bytes", async (build) => {
    const { flops, bytes } = await machineLimits(build);
    flops.run();
    bytes.run();
    expect(flops.amount % 80).toBe(0);
    expect(bytes.amount % 192).toBe(0);
    expect(bytes.amount).toBeGreaterThan(255 << 20);
  });
});

describe("profile", () => {
  it("takes medians over at least five prepared runs of several programs in turn", async () => {
    const runtime = await createRuntime();
    const record = (factor: number): { program: ReturnType<typeof compile>; prepare: () => void } => {
      const graph = new Graph(runtime);
      const x = graph.input([4]);
      graph.keep(softmax(scale(x, factor)));
      const program = compile(graph);
      return { program, prepare: () => (order.push(factor), program.write(x, [1, 2, 3, 4])) };
    };
    const order: number[] = [];
    let clock = 0;
    const limits = { flops: { amount: 6, run: () => undefined }, bytes: { amount: 9, run: () => undefined } };
    const { lines, runs, limits: rates } = await profile([record(1), record(2)], { now: () => (clock += 3), limits, seconds: 0 });
    expect(lines.map(({ name, ms }) => [name, ms])).toEqual([["scale", 3], ["softmaxForward", 3], ["scale", 3], ["softmaxForward", 3]]);
    expect(runs).toBe(5);
    expect(order).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    expect(rates).toEqual({ flops: 2, bytes: 3 });
  });

  it("reports each instruction's FLOPs and bytes as describe does", async () => {
    const graph = new Graph(await createRuntime());
    graph.keep(linear(graph.tensor([8, 4]), graph.tensor([3, 4])));
    const program = compile(graph);
    const limits = { flops: { amount: 1, run: () => undefined }, bytes: { amount: 1, run: () => undefined } };
    const { lines } = await profile([{ program }], { now: () => performance.now(), limits, seconds: 0 });
    expect(lines).toEqual(program.describe().instructions.map((info) => ({ ...info, ms: expect.any(Number) as number })));
  });
});

describe("a profile's summary", () => {
  it("by kernel adds up calls, times and operations, slowest first", () => {
    expect(byKernel(example).map(({ name, calls, ms, share, flops }) => [name, calls, ms, share, flops])).toEqual([
      ["matmul", 3, 8, 0.8, 60],
      ["add", 1, 1, 0.1, 1],
      ["fill", 1, 1, 0.1, 0],
    ]);
  });

  it("by layer splits a stack's layers into parts, forward and backward together, in program order", () => {
    expect(byLayer(example).map(({ name, calls, ms, backwardMs }) => [name, calls, ms, backwardMs])).toEqual([
      ["layers.0.attention", 3, 8, 4],
      ["layers.0", 1, 1, 0],
      ["(model)", 1, 1, 0],
    ]);
  });

  it("compares with the slower limit, instruction by instruction", () => {
    const [matmul, add] = byKernel(example);
    expect(matmul).toMatchObject({ bound: "flops", ofLimit: (1 + 2 + 3) / 8 });
    expect(add).toMatchObject({ bound: "bytes", ofLimit: 2 / 1 });
    expect(total(example)).toMatchObject({ calls: 5, ms: 10, share: 1, ofLimit: (6 + 2 + 0.5) / 10 });
  });
});

describe("chromeTrace", () => {
  it("places instructions one after another, in microseconds, below their layers", () => {
    const { traceEvents } = chromeTrace([{ name: "train", lines: example.lines }]) as { traceEvents: Record<string, unknown>[] };
    expect(traceEvents[0]).toEqual({ name: "thread_name", ph: "M", pid: 1, tid: 1, args: { name: "train" } });
    expect(traceEvents.slice(1).map(({ ph, name, ts, dur }) => [ph, name, ts, dur])).toEqual([
      ["X", "layers.0", 0, 5000],
      ["X", "attention", 0, 4000],
      ["X", "query", 0, 2000],
      ["X", "matmul", 0, 2000],
      ["X", "output", 2000, 2000],
      ["X", "matmul", 2000, 2000],
      ["X", "add", 4000, 1000],
      ["X", "fill", 5000, 1000],
      ["X", "backward", 6000, 4000],
      ["X", "layers.0", 6000, 4000],
      ["X", "attention", 6000, 4000],
      ["X", "output", 6000, 4000],
      ["X", "matmul", 6000, 4000],
    ]);
  });

  it("gives each program its own track", () => {
    const { traceEvents } = chromeTrace([{ name: "encode", lines: [] }, { name: "decode", lines: example.lines }]) as { traceEvents: { ph: string; tid: number }[] };
    expect(new Set(traceEvents.filter(({ ph }) => ph === "X").map(({ tid }) => tid))).toEqual(new Set([2]));
  });
});
