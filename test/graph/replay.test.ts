import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Compiled, ProgramCache } from "../../host/graph/cache";
import { Graph, type GraphOptions, type Instruction } from "../../host/graph/graph";
import { kernelOf, operandsOf } from "../../host/graph/operands";
import { compile } from "../../host/graph/program";
import { GPT, gptPresets } from "../../host/models/gpt";
import type { BatchOf, InputSpecs } from "../../host/models/inputs";
import { Llama, llamaPresets } from "../../host/models/llama";
import type { Model } from "../../host/models/model";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { Cells } from "../../host/train/cells";
import { lossProgram } from "../../host/train/lossprogram";
import { createRuntime } from "./runtime";

// What the presets' training programs consist of: a refactoring must not change them. replay.txt has a line for each instruction: its
// kernel, and a checksum of its operands other than addresses. Where they are to change: UPDATE_REPLAY=1 npx vitest run test/graph/replay.test.ts

const runtime = await createRuntime();
const file = new URL("replay.txt", import.meta.url);

const ids = (...shape: number[]) => ({ shape, data: new Int32Array(shape.reduce((a, b) => a * b)).fill(1) });
const language = { tokens: ids(12, 64), targets: ids(12, 64) };
const translation = (rows: number, S: number, T: number) => ({ source: ids(rows, S), sourceLengths: ids(rows), target: ids(rows, T), targets: ids(rows, T) });

/** A model's training program for one shape of batch. */
function record<S extends InputSpecs>(model: Model<S>, batch: BatchOf<S>): { instructions: readonly Instruction[]; arenaBytes: number } {
  model.place(runtime);
  model.weights.gradientBlock();
  const cells = new Cells(runtime, "test");
  let graph: Graph | undefined;
  class Recorder extends ProgramCache {
    override get<T>(_: string, record: (graph: Graph) => T, options?: GraphOptions): Compiled<T> {
      graph = new Graph(runtime, options);
      const tensors = record(graph);
      return { program: compile(graph), tensors };
    }
  }
  const { program } = lossProgram(model, new Recorder(runtime, 1), batch, cells, true);
  const { arenaBytes } = program.describe();
  program.dispose();
  cells.dispose();
  model.dispose();
  return { instructions: graph!.instructions, arenaBytes };
}

/** `scale out=• x=• n=12 factor=0.5 (norm, backward)` */
function text({ op, operands, layer, backward }: Instruction): string {
  const values = operandsOf(op).map(({ name }, i) => {
    const operand = operands[i];
    return `${name}=${operand === null ? "–" : typeof operand === "object" ? "•" : operand}`;
  });
  return `${kernelOf(op)} ${values.join(" ")} (${layer}${backward ? ", backward" : ""})`;
}

const programs = {
  "nanogpt-cpu": () => record(new GPT({ ...gptPresets["nanogpt-cpu"], vocabulary: 65, dropout: 0.1 }), language),
  "llama-cpu": () => record(new Llama({ ...llamaPresets["llama-cpu"], vocabulary: 65 }), language),
  "transformer tiny": () => record(new Transformer({ ...transformerPresets.tiny, vocabulary: 64 }), translation(8, 16, 12)),
  "transformer small": () => record(new Transformer({ ...transformerPresets.small, vocabulary: 1000 }), translation(4, 32, 30)),
};

const heading = (name: string, instructions: readonly unknown[], arenaBytes: number): string => `# ${name}: ${instructions.length} instructions, ${arenaBytes} bytes of arena`;
const checksum = (line: string): string => createHash("sha256").update(line).digest("hex").slice(0, 4);
const summary = (line: string): string => `${line.split(" ", 1)[0]} ${checksum(line)}`;

describe("the training program of each preset", () => {
  const recorded = Object.entries(programs).map(([name, record]) => {
    const { instructions, arenaBytes } = record();
    return { name, lines: instructions.map(text), heading: heading(name, instructions, arenaBytes) };
  });
  if (process.env.UPDATE_REPLAY) writeFileSync(file, recorded.map(({ heading, lines }) => `${[heading, ...lines.map(summary)].join("\n")}\n`).join("\n"));
  const committed = existsSync(file) ? readFileSync(file, "utf8").split("\n\n").map((program) => program.trimEnd().split("\n")) : [];

  it.each(recorded.map((program) => [program.name, program] as const))("%s has the committed instructions, operands and arena", (_, { lines, heading }) => {
    const [expectedHeading, ...expected] = committed.find(([first]) => first!.split(":")[0] === heading.split(":")[0]) ?? [];
    const first = lines.findIndex((line, i) => summary(line) !== expected[i]);
    if (first >= 0) expect.fail(`instruction ${first} was ${expected[first] ?? "missing"}, and is now ${summary(lines[first]!)}: ${lines[first]}`);
    expect(heading).toBe(expectedHeading);
  });
});
