import { samplingSettings } from "../graph/ops/sampling";
import { decodeProgram, encodeProgram } from "../decode/greedy";
import { nextTokenProgram } from "../decode/generate";
import { HeedError } from "../errors";
import type { LoadedModel } from "../io/model";
import type { GPT } from "../models/gpt";
import type { Batch } from "../batch";
import type { Model } from "../models/model";
import type { Transformer } from "../models/transformer";
import type { Timed } from "../profile/profile";
import { lossProgram, writeBatch } from "../train/evaluate";
import { Optimizer, vaswaniAdam } from "../train/optimizer";

export interface Sizes {
  /** Sequences. */
  batch: number;
  /** Tokens of each; of an encoder-decoder's, on both sides. */
  length: number;
}

/** What a model does, by the names that `--program` takes: programs that run one after another, on made-up tokens. */
export interface Workloads {
  [name: string]: () => Timed[];
}

/** All names that there are, for the command line. */
export const WORKLOADS = ["encode", "decode", "forward", "train"] as const;

/** The most tokens of a sequence. */
export const longest = (loaded: LoadedModel): number => (loaded.type === "gpt" ? loaded.model.config.block : loaded.model.config.maxLength);

export const workloads = (loaded: LoadedModel, sizes: Sizes): Workloads =>
  loaded.type === "gpt" ? gptWorkloads(loaded.model, sizes) : transformerWorkloads(loaded.model, sizes);

/** @throws HeedError (`data`) when the model has no such workload */
export function chosenWorkloads(loaded: LoadedModel, sizes: Sizes, name?: string): [string, Timed[]][] {
  const all = workloads(loaded, sizes);
  if (name === undefined) return Object.entries(all).map(([name, make]) => [name, make()]);
  const make = all[name];
  if (!make) throw new HeedError("data", `--program ${name}: a ${loaded.type} has the programs ${Object.keys(all).join(", ")}`);
  return [[name, make()]];
}

function transformerWorkloads(model: Transformer, { batch: B, length: T }: Sizes): Workloads {
  const shape = [B, T];
  const ids = (): Int32Array => madeUpIds(B * T, model.config.vocabulary);
  const lengths = (): Int32Array => new Int32Array(B).fill(T);
  return {
    encode() {
      const { program, tensors } = encodeProgram(model, B, T);
      return [{ program, prepare: () => (program.write(tensors.source, ids()), program.write(tensors.lengths, lengths())) }];
    },
    decode() {
      const { program, tensors } = decodeProgram(model, B, T, T);
      const memory = new Float32Array(tensors.memory.size).map((_, i) => Math.sin(i));
      return [{
        program,
        prepare() {
          program.write(tensors.target, ids());
          program.write(tensors.index, new Int32Array(B).fill(T - 1));
          program.write(tensors.memory, memory);
          program.write(tensors.lengths, lengths());
        },
      }];
    },
    train() {
      const tokens = { shape, data: ids() };
      return trainingStep(model, { source: tokens, sourceLengths: { shape: [B], data: lengths() }, target: tokens, targets: tokens });
    },
  };
}

function gptWorkloads(model: GPT, { batch: B, length: T }: Sizes): Workloads {
  const ids = (): Int32Array => madeUpIds(B * T, model.config.vocabulary);
  return {
    forward() {
      const { program, tensors } = nextTokenProgram(model, B, T, true);
      return [{
        program,
        prepare() {
          program.write(tensors.tokens, ids());
          program.write(tensors.index, new Int32Array(B).fill(T - 1));
          program.write(tensors.settings, samplingSettings(0, 0));
        },
      }];
    },
    train() {
      const tokens = { shape: [B, T], data: ids() };
      return trainingStep(model, { tokens, targets: tokens });
    },
  };
}

/** Loss and gradients of a batch, then an update, with a learning rate of 0: the weights stay as they are. */
function trainingStep(model: Model, batch: Batch): Timed[] {
  const optimizer = new Optimizer(model.weights, vaswaniAdam, 1);
  const compiled = lossProgram(model, batch, optimizer.cells, true);
  const prepare = (): void => {
    writeBatch(compiled, batch);
    compiled.program.seed(1, 0);
  };
  prepare();
  compiled.program.run();
  optimizer.step(0, 1); // leaves learning rate and step in the cells
  return [{ program: compiled.program, prepare }, { program: optimizer.program }];
}

/** Any ids but 0, which as a target counts for nothing. */
const madeUpIds = (length: number, vocabulary: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.min(vocabulary - 1, 1 + ((i * 7919) % Math.max(1, vocabulary - 1))));
