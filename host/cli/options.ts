import { type Command, InvalidArgumentError, Option } from "commander";
import { type Build, MAX_THREADS } from "../core/runtime";
import { nearest } from "../fields";
import type { Task } from "../io/model";
import { type Preset, presetsOf } from "./presets";

/** Options of every command. */
export interface CommonOptions {
  json?: boolean;
  build: Build | "auto";
  debug?: boolean;
}

/** Options of commands that compute with a model. */
export interface ThreadsOptions extends CommonOptions {
  threads?: number;
}

/** Options of every training command. */
export interface TrainOptions extends ThreadsOptions {
  out: string;
  preset: string;
  config?: string;
  seed: number;
  steps?: number;
  validateEvery?: number;
  saveEvery?: number;
  resume?: boolean;
  overwrite?: boolean;
}

const BUILD_HELP =
  "the core: simd gives the same bits on every engine, relaxed is faster if the engine supports it, turbo (Node 24 or later on x64) " +
  "uses an experimental V8 flag to be twice as fast";

export function addCommonOptions(command: Command): Command {
  return command
    .option("--json", "print one JSON object as the last line on stdout")
    .addOption(new Option("--build <name>", BUILD_HELP).choices(["auto", "simd", "relaxed", "turbo"]).default("auto"))
    .option("--debug", "show the stack trace of an error");
}

/** Adds the common options and --threads. */
export function addComputeOptions(command: Command): Command {
  return addCommonOptions(command).option("--threads <n>", "compute threads; one per core by default, at most 8", threadCount);
}

/** Like commander's `requiredOption`, but checked after unknown options, so that `--modle` is reported as a misspelling. */
export function requireOption(command: Command, flags: string, description: string): Command {
  const option = new Option(flags, description);
  return command.addOption(option).hook("preAction", () => {
    if (command.getOptionValue(option.attributeName()) === undefined) command.error(`missing required option ${flags}`);
  });
}

export function addTrainOptions(command: Command, task: Task): Command {
  const known = presetsOf(task);
  const names = [...known.keys()];
  const preset = new Option("--preset <name>", `model and training settings: ${names.join(", ")}`);
  return command
    .option("-o, --out <folder>", "folder for the checkpoint", `runs/${task}`)
    .addOption(preset.argParser(choice("preset", names)).default(names[0]))
    .option("--config <file>", "JSON file that overrides settings of the preset, named as below")
    .option("--seed <n>", "the same seed gives the same model", wholeNumber, 1)
    .option("--steps <n>", "total number of updates", positiveInteger)
    .option("--validate-every <n>", "number of steps between validations", positiveInteger)
    .option("--save-every <n>", "also save every n steps, not only after validations", positiveInteger)
    .option("--resume", "resume the training run in --out; the result is byte-identical to an uninterrupted run")
    .option("--overwrite", "replace the checkpoint in --out")
    .addHelpText("after", () => [...known].map(([name, preset]) => describePreset(name, preset)).join(""));
}

/** Describes a preset for `--help`, as JSON in the form of a `--config` file. */
function describePreset(name: string, { summary, model, training, vocabulary }: Preset): string {
  const { schedule, optimizer, ...plain } = training;
  const fields = (value: object): string => JSON.stringify(value).replaceAll('":', '": ').replaceAll(',"', ', "');
  const parts = [
    `  "model": ${fields(model)}`,
    `  "training": {\n    ${fields(plain).slice(1, -1)},\n    "schedule": ${fields(schedule)},\n    "optimizer": ${fields(optimizer)}\n  }`,
    ...(vocabulary === undefined ? [] : [`  "vocabulary": ${vocabulary}`]),
  ];
  return `\nPreset ${name} (${summary}):\n{\n${parts.join(",\n")}\n}\n`;
}

/** Makes a parser for an option whose value is one of `names`. Its error suggests the nearest name. */
export function choice(kind: string, names: readonly string[]): (value: string) => string {
  return (value) => {
    if (names.includes(value)) return value;
    const meant = nearest(value, names);
    const hint = meant ? `did you mean ${meant}?` : `expected one of ${names.join(", ")}.`;
    throw new InvalidArgumentError(`Unknown ${kind}; ${hint}`);
  };
}

export function positiveInteger(text: string): number {
  return number(text, "Expected a whole number of at least 1.", (value) => Number.isSafeInteger(value) && value >= 1);
}

export function threadCount(text: string): number {
  const accepts = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= MAX_THREADS;
  return number(text, `Expected a whole number from 1 to ${MAX_THREADS}.`, accepts);
}

export function wholeNumber(text: string): number {
  return number(text, "Expected a whole number of at least 0.", (value) => Number.isSafeInteger(value) && value >= 0);
}

export function finiteNumber(text: string): number {
  return number(text, "Expected a number.", Number.isFinite);
}

export function positive(text: string): number {
  return number(text, "Expected a number above 0.", (value) => Number.isFinite(value) && value > 0);
}

/** A probability above 0. */
export function share(text: string): number {
  return number(text, "Expected a number above 0, and at most 1.", (value) => value > 0 && value <= 1);
}

export function notNegative(text: string): number {
  return number(text, "Expected a number of at least 0.", (value) => Number.isFinite(value) && value >= 0);
}

function number(text: string, expectation: string, accepts: (value: number) => boolean): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!accepts(value)) throw new InvalidArgumentError(expectation);
  return value;
}
