import { type Command, InvalidArgumentError, Option } from "commander";
import { type Build, MAX_THREADS } from "../core/runtime";
import { nearest } from "../fields";
import type { Task } from "../io/model";
import { type Preset, presetsOf } from "./presets";

/** What every command takes. */
export interface CommonOptions {
  json?: boolean;
  build: Build | "auto";
  debug?: boolean;
}

/** What every command takes that computes with a model. */
export interface ThreadsOptions extends CommonOptions {
  threads?: number;
}

/** What every training takes. */
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

export function addCommonOptions(command: Command): Command {
  return command
    .option("--json", "print one JSON object as the last line on stdout")
    .addOption(new Option("--build <name>", "the core: relaxed is faster where the engine has it, simd gives the same bits everywhere, turbo (Node 24 or later, on x64) is twice as fast by an experimental flag of V8").choices(["auto", "simd", "relaxed", "turbo"]).default("auto"))
    .option("--debug", "show the stack of an error");
}

/** The options of `addCommonOptions`, and --threads. */
export function addComputeOptions(command: Command): Command {
  return addCommonOptions(command).option("--threads <n>", "threads that compute; the cores by default, at most 8", threadCount);
}

/** Like commander's `requiredOption`, but missed only after misspelt options have been found: `--modle` is what is wrong then. */
export function requireOption(command: Command, flags: string, description: string): Command {
  const option = new Option(flags, description);
  return command.addOption(option).hook("preAction", () => {
    if (command.getOptionValue(option.attributeName()) === undefined) command.error(`the option ${flags} is missing`);
  });
}

export function addTrainOptions(command: Command, task: Task): Command {
  const known = presetsOf(task);
  const names = [...known.keys()];
  return command
    .option("-o, --out <folder>", "where the checkpoint goes", `runs/${task}`)
    .addOption(new Option("--preset <name>", `model and training settings: ${names.join(", ")}`).argParser(choice("preset", names)).default(names[0]))
    .option("--config <file>", "JSON that changes settings of the preset, by the names below")
    .option("--seed <n>", "the same seed gives the same model", wholeNumber, 1)
    .option("--steps <n>", "updates in all", positiveInteger)
    .option("--validate-every <n>", "steps between two validations", positiveInteger)
    .option("--save-every <n>", "save also every n steps, not only after validations", positiveInteger)
    .option("--resume", "go on with the training in --out, to the byte as if it had never stopped")
    .option("--overwrite", "replace the checkpoint in --out")
    .addHelpText("after", () => [...known].map(([name, preset]) => describePreset(name, preset)).join(""));
}

/** A preset for `--help`, as the JSON that a `--config` file may change. */
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

/** Parses an option's value as one of some names, and suggests the nearest. */
export function choice(kind: string, names: readonly string[]): (value: string) => string {
  return (value) => {
    if (names.includes(value)) return value;
    const meant = nearest(value, names);
    throw new InvalidArgumentError(meant ? `Unknown ${kind}; did you mean ${meant}?` : `Unknown ${kind}; there are ${names.join(", ")}.`);
  };
}

export function positiveInteger(text: string): number {
  return number(text, "Expected a whole number of at least 1.", (value) => Number.isSafeInteger(value) && value >= 1);
}

export function threadCount(text: string): number {
  return number(text, `Expected a whole number from 1 to ${MAX_THREADS}.`, (value) => Number.isInteger(value) && value >= 1 && value <= MAX_THREADS);
}

export function wholeNumber(text: string): number {
  return number(text, "Expected a whole number of at least 0.", (value) => Number.isSafeInteger(value) && value >= 0);
}

export function notNegative(text: string): number {
  return number(text, "Expected a number of at least 0.", (value) => Number.isFinite(value) && value >= 0);
}

function number(text: string, expectation: string, accepts: (value: number) => boolean): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!accepts(value)) throw new InvalidArgumentError(expectation);
  return value;
}
