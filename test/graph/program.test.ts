import { describe, expect, it } from "vitest";
import { Cell } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import type { Runtime } from "../../host/core/runtime";
import { ProgramCache } from "../../host/graph/cache";
import { Graph } from "../../host/graph/graph";
import { operandsOf } from "../../host/graph/operands";
import { selfAttention } from "../../host/graph/ops/attention";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { add, gatherRows, scale } from "../../host/graph/ops/elementwise";
import { embedding } from "../../host/graph/ops/embedding";
import { linear } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import { compile, type Program, type ProgramInfo } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import type { BatchOf } from "../../host/models/inputs";
import { Cells } from "../../host/train/cells";
import { lossProgram } from "../../host/train/lossprogram";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

/** A program that doubles n numbers. */
function doubling(runtime: Runtime, n: number): { program: Program; x: Tensor; y: Tensor } {
  const graph = new Graph(runtime);
  const x = graph.input([n]);
  const y = graph.keep(scale(x, 2));
  return { program: compile(graph), x, y };
}

/** The program of a model's loss, with its gradients if `training`. */
function describeLoss(model: GPT, batch: BatchOf<LanguageInputs>, training: boolean): ProgramInfo {
  const cells = new Cells(runtime, "test");
  const programs = new ProgramCache(runtime, 1);
  const info = lossProgram(model, programs, batch, cells, training).program.describe();
  programs.dispose();
  cells.dispose();
  return info;
}

describe("Program", () => {
  it("describes each instruction with shapes and FLOPs, and the peak size of the arena", () => {
    const graph = new Graph(runtime);
    const [x, w, b] = [graph.input([2, 3, 4]), graph.input([5, 4]), graph.input([5])];
    const logits = linear(x, w, b);
    graph.keep(softmax(logits));
    const info = compile(graph).describe();
    expect(info.instructions.map(({ name, outputs, flops }) => [name, outputs, flops])).toEqual([
      ["matmulNT", ["f32[2,3,5]"], 2 * 6 * 5 * 4],
      ["softmaxForward", ["f32[2,3,5]"], 4 * 30],
    ]);
    expect(info.instructions[0]!.inputs.slice(0, 3)).toEqual(["f32[2,3,4]", "f32[5,4]", "f32[5]"]);
    expect(info.instructions[1]).toMatchObject({ inputs: ["f32[2,3,5]"], bytes: 2 * 30 * 4 });
    expect(info.flops).toBe(240 + 120);
    expect(info.codeBytes).toBe(4 * (1 + (2 + operandsOf(Op.MatmulNT).length) + (2 + operandsOf(Op.SoftmaxForward).length)));
    expect(info.arenaBytes % 64).toBe(0);
  });

  it("names the layer of each instruction, in forward and backward", () => {
    const model = new GPT({ vocabulary: 8, block: 4, layers: 1, heads: 2, width: 8, bias: true, dropout: 0.1 }).place(runtime);
    const tokens = { shape: [2, 4], data: new Int32Array(8) };
    const { instructions } = describeLoss(model, { tokens, targets: tokens }, true);
    const named = (backward: boolean): string[] => [...new Set(instructions.filter((line) => line.backward === backward).map(({ layer }) => layer))];
    const parts = [
      "layers.0.norm1", "layers.0.attention.queryKeyValue", "layers.0.attention", "layers.0.attention.output", "layers.0",
      "layers.0.norm2", "layers.0.feedForward.up", "layers.0.feedForward.down",
    ];
    expect(named(false)).toEqual(["embedding", "positions", "", ...parts, "norm", "loss"]);
    expect(named(true).sort()).toEqual(["embedding", "positions", "", ...parts, "norm"].sort());
    expect(instructions.filter(({ layer }) => layer === "layers.0.attention").map(({ name }) => name)).toEqual(["attentionForward", "attentionBackward"]);
    model.dispose();
  });

  it("counts a model's FLOPs: 2 for each matmul weight and token, 4 for each causal pair and channel", () => {
    const [B, T, C, V] = [2, 4, 8, 10];
    const model = new GPT({ vocabulary: V, block: T, layers: 1, heads: 2, width: C }).place(runtime);
    const tokens = { shape: [B, T], data: new Int32Array(B * T) };
    const { instructions, flops } = describeLoss(model, { tokens, targets: tokens }, false);
    const sum = (kernel: string): number => instructions.reduce((sum, { name, flops }) => sum + (name === kernel ? flops : 0), 0);
    expect(sum("matmulNT")).toBe(2 * B * T * (12 * C * C + V * C));
    expect(sum("attentionForward")).toBe((4 * B * C * (T * (T + 1))) / 2);
    expect(flops).toBe(instructions.reduce((sum, { flops }) => sum + flops, 0));
    model.dispose();
  });

  it("counts the bytes read and written: no working memory, only the selected rows of a table, and shared operands once", () => {
    const graph = new Graph(runtime);
    const x = embedding(graph.input([5], "i32"), graph.input([1000, 8]));
    linear(x, graph.input([3, 8]));
    const qkv = graph.input([1, 4, 24]);
    selfAttention(qkv, { heads: 2 });
    const bytes = compile(graph).describe().instructions.map(({ bytes }) => bytes);
    expect(bytes).toEqual([4 * (5 + 2 * 40), 4 * (15 + 40 + 24), 4 * (32 + 8 + 96)]);
  });

  it("prints itself as a table with totals", () => {
    const lines = doubling(runtime, 3).program.toString().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^ {3}0 {2}scale .*f32\[3\] ← f32\[3\] {2}3 FLOP, 24 bytes$/);
    expect(lines[1]).toBe("1 instructions, 0.000 GFLOP, arena 128 bytes, code 28 bytes");
  });

  it("rejects indices that are out of range, and accepts the ignored target", () => {
    const graph = new Graph(runtime, { training: true });
    const ids = graph.input([2, 2], "i32");
    const targets = graph.input([2, 2], "i32");
    const index = graph.input([2], "i32");
    const weight = graph.input([5, 4]);
    const x = embedding(ids, weight);
    gatherRows(x, index);
    crossEntropy(x, weight, targets, { ignored: -1 }).forward(graph.input([Cell.Bytes / 4]));
    const program = compile(graph);
    for (const bad of [5, -1, 1.5, NaN]) expect(() => program.write(ids, [0, 4, bad, 0])).toThrow(new RangeError(`write: expected indices in [0, 5), got ${bad} at position 2`));
    expect(() => program.write(targets, [-1, 4, 0, 5])).toThrow("write: expected indices in [0, 5) or -1, got 5 at position 3");
    expect(() => program.write(index, [0, 2])).toThrow("write: expected indices in [0, 2), got 2 at position 1");
  });

  it("times each instruction, gives the results of a run, and can be run again", () => {
    const graph = new Graph(runtime);
    const x = graph.input([2]);
    const y = graph.keep(scale(scale(scale(x, 2), 3), 5));
    const program = compile(graph);
    for (const values of [[1, 2], [3, 4]]) {
      const clock = [0, 1, 3, 6, 10, 15].values();
      program.write(x, values);
      expect([...program.time(() => clock.next().value!)]).toEqual([1, 3, 5]);
      expect([...program.read(y)]).toEqual(values.map((value) => 30 * value));
      program.run();
      expect([...program.read(y)]).toEqual(values.map((value) => 30 * value));
    }
    const stopped = (): number => {
      throw new Error("no clock");
    };
    expect(() => program.time(stopped)).toThrow("no clock");
    program.run(); // the instruction list is whole again
    expect([...program.read(y)]).toEqual([90, 120]);
  });

  it("writes only inputs and reads only kept tensors, with the right number of values", () => {
    const graph = new Graph(runtime);
    const x = graph.input([2, 2]);
    const middle = scale(x, 2);
    const out = graph.keep(add(middle, middle));
    const program = compile(graph);
    expect(() => program.write(x, [1, 2, 3])).toThrow("write: expected 4 values for a tensor of shape [2,2], got 3");
    expect(() => program.write(middle, [1, 2, 3, 4])).toThrow("write: the tensor is not an input of this program");
    expect(() => program.read(middle)).toThrow("read: the tensor was not kept, so its memory is reused; call graph.keep while recording");
    const { x: foreign, program: other } = doubling(runtime, 4);
    expect(() => program.write(foreign, [1, 2, 3, 4])).toThrow(new TypeError("write: expected a tensor of the graph that this program was compiled from"));
    expect(() => other.read(out)).toThrow(new TypeError("read: expected a tensor of the graph that this program was compiled from"));
    for (const bad of [[1, "2", 3, 4], [1, undefined, 3, 4], [1, 2, null, 4], [1, 2, 3, 4n]]) {
      expect(() => program.write(x, bad as number[])).toThrow(/^write: expected numbers, got (2|undefined|null|4) at position \d$/);
    }
    program.write(x, [1, 2, NaN, Infinity]);
    program.run();
    expect([...program.read(out)]).toEqual([4, 8, NaN, Infinity]);
  });

  it("frees its instructions' memory when disposed", () => {
    const before = runtime.memory.used;
    const { program, x } = doubling(runtime, 3);
    program.write(x, [1, 2, 3]);
    program.run();
    expect(runtime.memory.used).toBeGreaterThan(before);
    program.dispose();
    program.dispose();
    expect(runtime.memory.used).toBe(before);
    const gone = "the program was disposed, or the model that it belongs to was";
    for (const use of [() => program.run(), () => program.time(() => 0), () => program.write(x, [1, 2, 3])]) expect(use).toThrow(gone);
    expect(runtime.memory.used).toBe(before);
  });
});
