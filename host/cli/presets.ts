import type { Task } from "../io/model";
import type { ConfigOf, ModelType } from "../models/families";
import { gptPresets } from "../models/gpt";
import { llamaPresets } from "../models/llama";
import { transformerPresets } from "../models/transformer";
import { type OptimizerConfig, vaswaniAdam } from "../train/optimizer";
import type { Schedule } from "../train/schedule";

export interface TrainingSettings {
  /** Total number of updates. */
  steps: number;
  /** Batch size: pairs (dates), tokens per side (translate) or sequences (text). */
  batch: number;
  /** Batches whose gradients are accumulated before each update. */
  microBatches: number;
  schedule: Schedule;
  optimizer: OptimizerConfig;
  /** Maximum global gradient norm; 0 disables clipping. */
  clip: number;
  /** Steps between two validations. */
  validateEvery: number;
  /** Steps between two saves, in addition to those after each validation; 0 for none. */
  saveEvery: number;
  /** Validations without a new best loss before training stops; 0 for no limit. */
  patience: number;
}

/** A model and how to train it. */
export interface Settings<T extends ModelType = ModelType> {
  readonly type: T;
  model: Omit<ConfigOf<T>, "vocabulary">;
  training: TrainingSettings;
  /** Maximum size of a byte-pair vocabulary, in tokens. If undefined, every character of the data is a token. */
  vocabulary?: number;
}

export interface Preset<T extends ModelType = ModelType> extends Settings<T> {
  readonly task: Task;
  /** A one-line summary for `--help`. */
  readonly summary: string;
}

const dates: Preset<"transformer"> = {
  type: "transformer",
  task: "dates",
  summary: "2 + 1 layers, width 64, character level; trains in under a minute",
  model: transformerPresets.tiny,
  training: {
    steps: 2400,
    batch: 32,
    microBatches: 1,
    schedule: { kind: "linear", peak: 5e-3, warmup: 100 },
    optimizer: vaswaniAdam,
    clip: 1,
    validateEvery: 300,
    saveEvery: 0,
    patience: 0,
  },
};

const translate: Preset<"transformer"> = {
  type: "transformer",
  task: "translate",
  summary: "3 + 3 layers, width 192, for a corpus of tens of thousands of sentences, such as Multi30k",
  model: { ...transformerPresets.small, maxLength: 128 },
  training: {
    // Small batches: on Multi30k, halving the tokens per step saved most of an epoch.
    steps: 5000,
    batch: 1000,
    microBatches: 1,
    schedule: { kind: "cosine", peak: 2e-3, final: 2e-5, warmup: 400 },
    optimizer: vaswaniAdam,
    clip: 1,
    validateEvery: 500,
    saveEvery: 0,
    patience: 3,
  },
  vocabulary: 4000,
};

const nanogptCpu: Preset<"gpt"> = {
  type: "gpt",
  task: "text",
  summary: "nanoGPT's CPU recipe: 4 layers, width 128, character level",
  model: { ...gptPresets["nanogpt-cpu"], dropout: 0, bias: false },
  training: {
    steps: 2000,
    batch: 12,
    microBatches: 1,
    // nanoGPT's own peak of 1e-3 ends at a loss of 1.901 on the whole validation split (seeds 1 and 2), 2e-3 at 1.819.
    schedule: { kind: "cosine", peak: 2e-3, final: 1e-4, warmup: 100 },
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.99, decay: 0.1 },
    clip: 1,
    validateEvery: 250,
    saveEvery: 0,
    patience: 0,
  },
};

const llamaCpu: Preset<"llama"> = {
  ...nanogptCpu,
  type: "llama",
  summary: "the same training settings for a Llama-like model: RMSNorm, rotary positions, SwiGLU, 2 key-value heads",
  model: llamaPresets["llama-cpu"],
};

/** Presets by the names that `--preset` takes. The first preset of each task is its default. */
export const presets = { dates, translate, "nanogpt-cpu": nanogptCpu, "llama-cpu": llamaCpu } as const;

/** The presets of a task by name, the default first. */
export function presetsOf(task: Task): Map<string, Preset> {
  return new Map(Object.entries(presets as Record<string, Preset>).filter(([, preset]) => preset.task === task));
}
