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

/** Everything that determines the result of a training run: two runs with the same identity end with the same bytes. */
export interface RunIdentity {
  config: CheckpointConfig;
  /** Seeds the weights, dropout and the data order. */
  seed: number;
  /** The core's builds differ in the last bits. */
  build: Build;
  training: TrainingSettings;
  /** A fingerprint of each text. */
  data: Record<string, string>;
}

/** Measurements of a training run. */
export interface RunRecord {
  /** Total time, in all sessions. */
  seconds: number;
  /** Time spent in steps, without validation and saving. */
  stepSeconds: number;
  /** Number of targets trained on. */
  tokens: number;
  /** Mean loss over the steps between the last two validations. */
  trainLoss: number | null;
  /** Sum of the losses, and the number of steps, since the last validation. */
  lossSum: number;
  lossSteps: number;
}

interface TrainerFile extends Omit<RunIdentity, "config"> {
  state: TrainerState;
  record: RunRecord;
}

const fileFields: Fields<TrainerFile> = { seed: whole, build: text, training: object, data: object, state: object, record: object };
const recordFields: Fields<RunRecord> = {
  seconds: notNegative, stepSeconds: notNegative, tokens: whole, trainLoss: finiteOrNull, lossSum: finite, lossSteps: whole,
};

/** The files that a training run writes. */
const FILES = ["config.json", "log.jsonl", "model.safetensors", "optimizer.safetensors", "tokenizer.json", "trainer.json"];
/** Of these, the ones that identify a folder as a checkpoint; so does the journal of an interrupted save. */
const SIGNS = ["commit.json", "config.json", "model.safetensors", "optimizer.safetensors", "trainer.json"];

/** Which of these files a folder contains. The journal of an interrupted save counts, since it may stand for any of them. */
export async function existingFiles(files: Files, folder: string, names: readonly string[]): Promise<string[]> {
  return (await files.list(folder)).filter((name) => name === "commit.json" || names.includes(name));
}

/** The folder of a training run: a checkpoint, and log.jsonl with a line for each step and validation. */
export class RunFolder {
  private pendingLog = "";

  constructor(
    private readonly files: Files,
    readonly folder: string,
    private readonly identity: RunIdentity,
    private readonly tokenizer: Tokenizer,
  ) {}

  /** The names of files in the folder that a training run would replace. */
  private existing(): Promise<string[]> {
    return existingFiles(this.files, this.folder, FILES);
  }

  /** @throws HeedError (`checkpoint`) if there are files that the run would replace, saying how to resume or replace them */
  async refuseToOverwrite(): Promise<void> {
    const names = await this.existing();
    if (names.length === 0) return;
    const isCheckpoint = names.some((name) => SIGNS.includes(name));
    const contents = isCheckpoint ? "a checkpoint" : names.join(" and ");
    const advice = isCheckpoint
      ? "use --resume to continue its training run, or --overwrite to replace it"
      : "choose another --out, or use --overwrite to replace these files";
    throw new HeedError("checkpoint", `${this.folder} already contains ${contents}; ${advice}`);
  }

  /**
   * Restores a trainer from the folder's checkpoint, and truncates the log to its step.
   * @returns the measurements up to that step, or undefined if nothing has been saved yet
   * @throws HeedError (`checkpoint`) listing the differences if the checkpoint was trained with other settings or data
   */
  async resume(trainer: Trainer): Promise<RunRecord | undefined> {
    if ((await this.existing()).length === 0) return undefined;
    const checkpoint = await openCheckpoint(this.files, this.folder);
    if (!checkpoint.has("trainer.json")) {
      const found = checkpoint.names.join(", ");
      throw new HeedError("checkpoint", `${this.folder} contains no training state to resume from: expected trainer.json, found ${found}`);
    }
    const { state, record, ...saved } = await readTrainerFile(checkpoint);
    const config = parseConfig(await checkpoint.readText("config.json"), checkpoint.path("config.json"));
    const changes = differences({ config, ...saved }, this.identity);
    if (changes.length > 0) {
      const advice = "use the same settings and data, or start over with --overwrite";
      throw new HeedError("checkpoint", `${this.folder} was trained with different settings or data: ${changes.join("; ")} (${advice})`);
    }
    trainer.restore(await readSnapshot(checkpoint, state, trainer.snapshot()));
    const log = checkpoint.has("log.jsonl") ? await checkpoint.readText("log.jsonl") : "";
    await saveCheckpoint(this.files, this.folder, { "log.jsonl": cutLog(log, state) });
    return record;
  }

  /**
   * Saves the best weights and everything needed to resume.
   * @param options.fresh      also clears the log
   * @param options.overwrite  replaces a checkpoint even if its journal is invalid
   */
  async save(snapshot: Snapshot, record: RunRecord, { fresh = false, overwrite = false } = {}): Promise<void> {
    await this.flushLog();
    const { config, ...identity } = this.identity;
    await saveCheckpoint(this.files, this.folder, {
      ...snapshotFiles(snapshot),
      "config.json": pretty(config),
      "tokenizer.json": JSON.stringify(this.tokenizer.toJSON()),
      "trainer.json": pretty({ ...identity, state: snapshot.state, record } satisfies TrainerFile),
      ...(fresh ? { "log.jsonl": "" } : {}),
    }, { overwrite });
  }

  /** Adds a line to the log. `flushLog` writes it to disk. */
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

/** @throws HeedError (`format`) naming the invalid field and what was expected */
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

/** The log lines up to a state. Later or incomplete lines are dropped, because the resumed run will write them again. */
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
