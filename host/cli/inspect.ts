import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { formatBytes } from "../core/memory";
import { HeedError } from "../errors";
import type { OpenFile } from "../io/files";
import { decodingMemory } from "../decode/memory";
import { type AnyModel, createModel, parseConfig } from "../io/model";
import { hasSource } from "../models/decoding";
import type { Header } from "../io/header";
import { TensorFile } from "../io/tensorfile";
import { excerpt, quoteShape } from "../quote";
import type { TrainerState } from "../train/trainer";
import { type Context, report } from "./context";
import { nodeFiles } from "../platform/node-files";
import { unreadable } from "./input";
import { kindOf } from "./inspect-kind";
import { readCheckpoint } from "./load";
import { addCommonOptions, type CommonOptions } from "./options";
import { readTrainerFile } from "./run-folder";
import { countParameters } from "./training-run";
import { table } from "./table";
import { thousands } from "./terminal";

export function addInspect(program: Command, context: Context): void {
  const command = program.command("inspect")
    .summary("show the contents of a checkpoint, a .safetensors file or a .wasm file")
    .argument("<file>", "a checkpoint folder, a .safetensors file or heed's .wasm");
  addCommonOptions(command)
    .description("Shows what a file contains: tensors and their shapes, a checkpoint's model and training state, or a core's exports.")
    .addHelpText("after", `
Examples:
  heed inspect runs/dates
  heed inspect runs/dates/model.safetensors
  heed inspect dist/heed.simd.wasm --json`)
    .action((path: string, options: CommonOptions) => inspect(path, options, context));
}

async function inspect(path: string, options: CommonOptions, context: Context): Promise<void> {
  const folder = path.replace(/(.)\/+$/, "$1");
  if (await isFolder(folder)) return inspectCheckpoint(folder, options, context);
  const file = await nodeFiles.open(path).catch((error: Error) => {
    throw unreadable(path, error.cause ?? error);
  });
  const kind = await kindOf(file, path).catch(async (error) => {
    await file.close();
    throw error;
  });
  if (kind === "safetensors") return inspectTensors(path, await readTensorFile(path, file), file.size, options, context);
  await file.close();
  if (file.size > MOST_CODE) {
    const most = formatBytes(MOST_CODE);
    throw new HeedError("format", `${path}: expected at most ${most} of WebAssembly, got ${formatBytes(file.size)}`);
  }
  return inspectCore(path, await nodeFiles.read(path), options, context);
}

const isFolder = (path: string): Promise<boolean> => stat(path).then((entry) => entry.isDirectory(), () => false);

/** Reads only the header of a file. */
async function readTensorFile(path: string, opened: OpenFile): Promise<Header> {
  const file = await TensorFile.open(opened, path);
  await file.close();
  return file;
}

/** Names in the order of their numbers: layers.2 before layers.10. A collator is several times as fast as `localeCompare`. */
const byName = new Intl.Collator("en", { numeric: true });
/** The most characters of a metadata value that are shown; --json prints all. */
const LONGEST_METADATA = 2000;
/** A larger module is not heed's, whose cores have less than 100 KB. */
const MOST_CODE = 2 ** 26;

const elementsOf = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

async function inspectTensors(
  path: string, { tensors, metadata }: Header, size: number, options: CommonOptions, context: Context,
): Promise<void> {
  const rows = Array.from(tensors, ([name, { dtype, shape, begin, end }]) => ({
    name, dtype, shape: [...shape], elements: elementsOf(shape), bytes: end - begin,
  }));
  rows.sort((a, b) => byName.compare(a.name, b.name));
  const elements = rows.reduce((sum, row) => sum + row.elements, 0);
  const result = { file: path, bytes: size, elements, metadata: Object.fromEntries(metadata), tensors: rows };
  const lines = [
    `${path}: ${rows.length} tensors, ${thousands(elements)} elements, ${formatBytes(size)}`,
    ...Array.from(metadata, ([key, text]) => `  ${excerpt(key)} = ${excerpt(text, LONGEST_METADATA)}`),
    table(rows.map(({ name, dtype, shape, bytes }) => [excerpt(name), dtype, quoteShape(shape).replaceAll(",", ", "), formatBytes(bytes)])),
  ];
  await report(context, options, result, lines.join("\n"));
}

async function inspectCheckpoint(folder: string, options: CommonOptions, context: Context): Promise<void> {
  const { config, tensors, trainer, names } = await readCheckpoint(folder, async (checkpoint) => ({
    config: parseConfig(await checkpoint.readText("config.json"), checkpoint.path("config.json")),
    tensors: (await readTensorFile(checkpoint.path("model.safetensors"), await checkpoint.open("model.safetensors"))).tensors,
    trainer: checkpoint.has("trainer.json") ? await readTrainerFile(checkpoint) : undefined,
    names: checkpoint.names,
  }));
  const { model } = createModel(config);
  const parameters = countParameters(model);
  const weights = [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
  const training = trainer && { ...trainer.state, of: trainer.training.steps, seed: trainer.seed, build: trainer.build };
  const result = { folder, ...config, parameters, training, files: names };
  const stored = config.format ? ` in ${config.format}` : "";
  const lines = [
    `${folder}: a ${config.type} of ${thousands(parameters)} parameters${stored}${config.task ? `, trained for ${config.task}` : ""}`,
    table(Object.entries(config.model).map(([name, value]) => [name, excerpt(String(value))])),
    ...(training ? [describeTraining(training)] : []),
    describeDecoding(model, weights),
    `files: ${names.join(", ")}`,
  ];
  await report(context, options, result, lines.join("\n"));
}

/** What decoding needs, so that it can be known before anything starts. */
function describeDecoding(model: AnyModel, weights: number): string {
  const { perRow } = decodingMemory(model);
  const source = hasSource(model) ? ` and ${model.sourceContext} source tokens` : "";
  return `decoding: ${formatBytes(weights)} for the weights, ${formatBytes(perRow)} for each row of ${model.context} tokens${source}`;
}

function describeTraining(training: TrainerState & { of: number; seed: number; build: string }): string {
  const { step, of, bestLoss, bestStep, seed, build } = training;
  const best = `best validation loss ${bestLoss?.toFixed(4) ?? "–"} after step ${bestStep}`;
  return `after step ${step} of ${of}; ${best} (seed ${seed}, build ${excerpt(build)})`;
}

async function inspectCore(path: string, bytes: Uint8Array, options: CommonOptions, context: Context): Promise<void> {
  let module: WebAssembly.Module;
  try {
    module = await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    throw new HeedError("format", `${path}: this engine cannot compile the module: ${excerpt((cause as Error).message)}`, { cause });
  }
  const exports = WebAssembly.Module.exports(module).map(({ name, kind }) => ({ name, kind }));
  const imports = WebAssembly.Module.imports(module).map(({ module, name, kind }) => ({ module, name, kind }));
  const lines = [
    `${path}: WebAssembly, ${formatBytes(bytes.length)}, ${imports.length} imports, ${exports.length} exports`,
    table([
      ...exports.map(({ name, kind }) => ["export", excerpt(name), kind]),
      ...imports.map(({ module, name, kind }) => ["import", excerpt(`${module}.${name}`), kind]),
    ]),
  ];
  await report(context, options, { file: path, bytes: bytes.length, exports, imports }, lines.join("\n"));
}
