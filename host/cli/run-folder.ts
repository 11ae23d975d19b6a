import type { Build } from "../core/runtime";
import type { Tokenizer } from "../data/tokenizer";
import { HeedError, inFile } from "../errors";
import { type Checkpoint, openCheckpoint, saveCheckpoint } from "../io/checkpoint";
import { checkFields, type Fields, finite, finiteOrNull, notNegative, object, text, whole } from "../fields";
import { parseJson } from "../json";
import type { Files } from "../io/files";
import { type CheckpointConfig, parseConfig, readSnapshot, snapshotFiles } from "../io/model";
import { type Snapshot, type Trainer, type TrainerState, trainerStateFields } from "../train/trainer";
import type { TrainingSettings } from "./presets";
import { differences } from "./settings";

/** All that decides where a training goes: two that agree in it end with the same bytes. */
export interface RunIdentity {
  config: CheckpointConfig;
  /** Seeds the weights, dropout and the order of the data. */
  seed: number;
  /** The core's builds differ in the last bits. */
  build: Build;
  training: TrainingSettings;
  /** A fingerprint of each of the texts. */
  data: Record<string, string>;
}

/** What is measured along the way. */
export interface RunRecord {
  /** Spent so far, in this session and those before. */
  seconds: number;
  /** Spent in steps alone, without validating and saving. */
  stepSeconds: number;
  /** Targets that the steps have learnt from. */
  tokens: number;
  /** Mean over the steps between the last two validations. */
  trainLoss: number | null;
  /** Σ loss and number of the steps since the last validation. */
  lossSum: number;
  lossSteps: number;
}

interface TrainerFile extends Omit<RunIdentity, "config"> {
  state: TrainerState;
  record: RunRecord;
}

const fileFields: Fields<TrainerFile> = { seed: whole, build: text, training: object, data: object, state: object, record: object };
const recordFields: Fields<RunRecord> = { seconds: notNegative, stepSeconds: notNegative, tokens: whole, trainLoss: finiteOrNull, lossSum: finite, lossSteps: whole };

/** Files that tell a checkpoint from any other folder. */
const SIGNS = ["commit.json", "config.json", "model.safetensors", "trainer.json"];

/** A training's folder: a checkpoint, and log.jsonl with a line for each step and validation. */
export class RunFolder {
  private pendingLog = "";

  constructor(
    private readonly files: Files,
    readonly folder: string,
    private readonly identity: RunIdentity,
    private readonly tokenizer: Tokenizer,
  ) {}

  /** The checkpoint that is there, if any. */
  private async existing(): Promise<Checkpoint | undefined> {
    const names = await this.files.list(this.folder);
    return names.some((name) => SIGNS.includes(name)) ? openCheckpoint(this.files, this.folder) : undefined;
  }

  /** @throws HeedError (`checkpoint`) when there is one, and says how to go on with it or replace it */
  async refuseToOverwrite(): Promise<void> {
    if (!(await this.existing())) return;
    throw new HeedError("checkpoint", `${this.folder} holds a checkpoint already; --resume goes on with its training, --overwrite replaces it`);
  }

  /**
   * Puts a trainer where the folder's checkpoint left off, and cuts the log to that step.
   * @returns what had been measured until then, or undefined when nothing had been saved yet
   * @throws HeedError (`checkpoint`) listing what differs, when the checkpoint is of a training with other settings or data
   */
  async resume(trainer: Trainer): Promise<RunRecord | undefined> {
    const checkpoint = await this.existing();
    if (!checkpoint) return undefined;
    if (!checkpoint.has("trainer.json")) throw new HeedError("checkpoint", `${this.folder} holds a model, but no training to go on with (trainer.json)`);
    const { state, record, ...saved } = await readTrainerFile(checkpoint);
    const config = parseConfig(await checkpoint.readText("config.json"), checkpoint.path("config.json"));
    const changes = differences({ config, ...saved }, this.identity);
    if (changes.length > 0) {
      const advice = "give the same settings and data, or start anew with --overwrite";
      throw new HeedError("checkpoint", `${this.folder} was trained otherwise: ${changes.join("; ")} (${advice})`);
    }
    trainer.restore(await readSnapshot(checkpoint, state, trainer.snapshot()));
    const log = checkpoint.has("log.jsonl") ? await checkpoint.readText("log.jsonl") : "";
    await saveCheckpoint(this.files, this.folder, { "log.jsonl": cutLog(log, state) });
    return record;
  }

  /** Saves everything: the best weights, and what a later session needs to go on. With `fresh`, the log starts anew. */
  async save(snapshot: Snapshot, record: RunRecord, { fresh = false } = {}): Promise<void> {
    await this.flushLog();
    const { config, ...identity } = this.identity;
    await saveCheckpoint(this.files, this.folder, {
      ...snapshotFiles(snapshot),
      "config.json": pretty(config),
      "tokenizer.json": JSON.stringify(this.tokenizer.toJSON()),
      "trainer.json": pretty({ ...identity, state: snapshot.state, record } satisfies TrainerFile),
      ...(fresh ? { "log.jsonl": "" } : {}),
    });
  }

  /** Adds a line to the log, on the disk after `flushLog`. */
  log(entry: object): void {
    this.pendingLog += `${JSON.stringify(entry)}\n`;
  }

  async flushLog(): Promise<void> {
    if (!this.pendingLog) return;
    const bytes = new TextEncoder().encode(this.pendingLog);
    this.pendingLog = "";
    await this.files.append(`${this.folder}/log.jsonl`, bytes);
  }
}

/** @throws HeedError (`format`) saying which field is wrong, and what was expected */
export async function readTrainerFile(checkpoint: Checkpoint): Promise<TrainerFile> {
  const json = await checkpoint.readText("trainer.json");
  return inFile(checkpoint.path("trainer.json"), () => {
    const file = parseJson(json) as TrainerFile;
    checkFields("", file, fileFields);
    checkFields("state", file.state, trainerStateFields);
    checkFields("record", file.record, recordFields);
    return file;
  });
}

/** The lines up to a state: what a session wrote after its last checkpoint, or half wrote, is written again. */
function cutLog(log: string, { step, validatedStep }: TrainerState): string {
  const isKept = (line: string): boolean => {
    try {
      const entry = JSON.parse(line) as { step: number; validLoss?: number };
      return entry.step <= (entry.validLoss === undefined ? step : validatedStep);
    } catch {
      return false;
    }
  };
  return log.split("\n").filter(isKept).map((line) => `${line}\n`).join("");
}

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
