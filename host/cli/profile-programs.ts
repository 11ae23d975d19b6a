import { PAGE_TOKENS } from "../graph/ops/keyvalues";
import { Session } from "../decode/session";
import { HeedError } from "../errors";
import { ProgramCache } from "../graph/cache";
import type { LoadedModel } from "../io/model";
import type { BatchOf, InputSpecs } from "../models/inputs";
import type { DecoderModel } from "../models/decoding";
import type { Model } from "../models/model";
import type { Timed } from "../profile/profile";
import { lossProgram, writeBatch } from "../train/lossprogram";
import { Optimizer, vaswaniAdam } from "../train/optimizer";

export interface Sizes {
  /** Number of sequences. */
  batch: number;
  /** Tokens per sequence; for an encoder-decoder, in both source and target. */
  length: number;
}

/** A model's workloads by the names that `--program` takes. Each is a list of programs that run one after another on made-up tokens. */
export interface Workloads {
  [name: string]: () => Timed[];
}

/** The names of all workloads. */
export const WORKLOADS = ["encode", "prompt", "step", "train"] as const;

/** Maximum length of a sequence, in tokens. */
export const longest = ({ model }: LoadedModel): number => model.context;

export function workloads(loaded: LoadedModel, sizes: Sizes): Workloads {
  const { batch: B, length: T } = sizes;
  const shape = [B, T];
  const { vocabulary } = loaded.model;
  const tokens = { shape, data: madeUpIds(B * T, vocabulary) };
  if (loaded.type !== "transformer") {
    return { ...decoding(loaded.model, sizes), train: () => trainingStep(loaded.model, { tokens, targets: tokens }) };
  }
  const lengths = new Int32Array(B).fill(T);
  return {
    encode() {
      const { programs } = new Session(loaded.model, { rows: B });
      const { program, tensors } = programs.encode(B, T);
      program.write(tensors.source, tokens.data);
      program.write(tensors.lengths, lengths);
      program.write(tensors.past, new Int32Array(B));
      program.write(tensors.pages, new Int32Array(tensors.pages.size));
      return [{ program }];
    },
    ...decoding(loaded.model, sizes),
    train() {
      const batch = { source: tokens, sourceLengths: { shape: [B], data: lengths }, target: tokens, targets: tokens };
      return trainingStep(loaded.model, batch);
    },
  };
}

/**
 * All of a model's workloads, or the one called `name`. They share the arena, so make each just before it is profiled.
 * @throws HeedError (`data`) if the model has no such workload
 */
export function chosenWorkloads(loaded: LoadedModel, sizes: Sizes, name?: string): [name: string, make: () => Timed[]][] {
  const all = workloads(loaded, sizes);
  if (name === undefined) return Object.entries(all);
  const make = all[name];
  if (!make) throw new HeedError("data", `--program ${name}: a ${loaded.type} has the programs ${Object.keys(all).join(", ")}`);
  return [[name, make]];
}

/**
 * A prompt of one row, and a step of B rows that have stored all tokens but the last. Every page is page 0, since its contents do not
 * affect the time.
 */
function decoding(model: DecoderModel, { batch: B, length: T }: Sizes): Workloads {
  return {
    prompt() {
      const { programs } = new Session(model, { rows: 1 });
      const { program, tensors } = programs.prompt(T);
      program.write(tensors.tokens, madeUpIds(T, model.vocabulary));
      program.write(tensors.counts, [T]);
      program.write(tensors.past, [0]);
      program.write(tensors.pages, new Int32Array(tensors.pages.size));
      program.write(tensors.sourceLengths, [Math.min(T, PAGE_TOKENS)]);
      program.write(tensors.sourcePages, new Int32Array(tensors.sourcePages.size));
      return [{ program }];
    },
    step() {
      const { programs } = new Session(model, { rows: B });
      const { program } = programs.step(B);
      const { slots } = programs;
      return [{
        program,
        prepare() {
          slots.ids.write(madeUpIds(B, model.vocabulary));
          slots.past.write(new Int32Array(B).fill(T - 1));
          slots.sourceLengths.write(new Int32Array(B).fill(T));
        },
      }];
    },
  };
}

/** Loss and gradients of a batch, then an update with a learning rate of 0, which leaves the weights unchanged. */
function trainingStep<S extends InputSpecs>(model: Model<S>, batch: BatchOf<S>): Timed[] {
  const optimizer = new Optimizer(model.weights, vaswaniAdam, 1);
  const compiled = lossProgram(model, new ProgramCache(model.weights.runtime, 1), batch, optimizer.cells, true);
  const prepare = (): void => {
    writeBatch(compiled, batch);
    compiled.program.seed(1, 0);
  };
  prepare();
  compiled.program.run();
  optimizer.step(0, 1); // sets the learning rate and step in the cells
  return [{ program: compiled.program, prepare }, { program: optimizer.program }];
}

/** Arbitrary ids other than 0, which may be ignored as a target. */
const madeUpIds = (length: number, vocabulary: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.min(vocabulary - 1, 1 + ((i * 7919) % Math.max(1, vocabulary - 1))));
