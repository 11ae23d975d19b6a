import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { formatBytes } from "../core/memory";
import { HeedError } from "../errors";
import { loadModel, parseConfig, saveModel } from "../io/model";
import { type IntegerFormatName, integerFormats } from "../io/quantized";
import { nodeFiles } from "../platform/node-files";
import { type Context, report } from "./context";
import { readCheckpoint } from "./load";
import { addCommonOptions, type CommonOptions, requireOption } from "./options";
import { existingFiles } from "./run-folder";
import { openRuntime } from "./runtime";

interface QuantizeOptions extends CommonOptions {
  model: string;
  to: IntegerFormatName;
  out: string;
  overwrite?: boolean;
}

const FORMATS = "int8: about a quarter of the size; int8row: the same, faster for long prompts, less exact; int4: about an eighth";
const NAMES = ["model.safetensors", "config.json", "tokenizer.json"];

export function addQuantize(program: Command, context: Context): void {
  const command = program.command("quantize").summary("store a model's weights as small integers");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train");
  requireOption(command, "-o, --out <folder>", "folder for the quantized model");
  command
    .addOption(new Option("--to <format>", FORMATS).choices(integerFormats).default("int8"))
    .option("--overwrite", "replace the model in --out");
  addCommonOptions(command)
    .description(
      "Rounds the weights of products and embeddings to integers with a scale for every 32 of them. The quantized model is smaller and " +
        "decodes faster; measure what it costs with heed eval. It cannot be trained further.",
    )
    .addHelpText("after", `
Examples:
  heed quantize --model runs/de-en --to int8 --out runs/de-en-int8
  heed eval --model runs/de-en-int8 --source test.de.gz --target test.en.gz`)
    .action((options: QuantizeOptions) => run(options, context));
}

async function run(options: QuantizeOptions, context: Context): Promise<void> {
  const { model: from, to, out } = options;
  await refuseToOverwrite(options);
  const runtime = await openRuntime({ ...options, threads: 1 }, context);
  const { loaded, before } = await readCheckpoint(from, async (checkpoint) => {
    const { format } = parseConfig(await checkpoint.readText("config.json"), checkpoint.path("config.json"));
    if (format) throw new HeedError("checkpoint", `${from} is quantized already, to ${format}; quantize the model that it was made from`);
    const file = await checkpoint.open("model.safetensors");
    await file.close();
    return { loaded: await loadModel(runtime, checkpoint, { format: to }), before: file.size };
  });
  const { model, tokenizer, config } = loaded;
  await saveModel(nodeFiles, out, { model, tokenizer, task: config.task, seed: config.seed });
  const file = await nodeFiles.open(`${out}/model.safetensors`);
  await file.close();
  const result = { out, format: to, bytes: { before, after: file.size } };
  const ratio = (before / file.size).toFixed(1);
  await report(context, options, result, `${out}: ${to}, ${formatBytes(file.size)}, ${ratio} times smaller than ${formatBytes(before)}`);
}

/** @throws HeedError (`checkpoint`) if there are files that would be replaced */
async function refuseToOverwrite({ model, out, overwrite }: QuantizeOptions): Promise<void> {
  if (resolve(model) === resolve(out)) throw new HeedError("checkpoint", `--out ${out}: this is the model itself; choose another folder`);
  const found = await existingFiles(nodeFiles, out, NAMES);
  if (found.length === 0 || overwrite) return;
  const advice = "choose another --out, or use --overwrite to replace them";
  throw new HeedError("checkpoint", `${out} already contains ${found.join(" and ")}; ${advice}`);
}
