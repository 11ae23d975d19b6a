import { type Command, Option } from "commander";
import { machineLimits } from "../core/limit";
import { HeedError } from "../errors";
import { type Profile, profile } from "../profile/profile";
import { byKernel, byLayer, type Summary, total } from "../profile/summary";
import { chromeTrace } from "../profile/trace";
import { type Context, report } from "./context";
import { nodeFiles } from "../platform/node-files";
import { load, type ModelOptions } from "./load";
import { addCommonOptions, choice, notNegative, positiveInteger, requireOption, threadCount } from "./options";
import { chosenWorkloads, longest, WORKLOADS } from "./profile-programs";
import { table } from "./table";

interface ProfileCommandOptions extends ModelOptions {
  program?: string;
  batch: number;
  length?: number;
  seconds: number;
  trace?: string;
}

/** Default sequence length in tokens, unless the model takes fewer. */
const LENGTH = 64;

export function addProfile(program: Command, context: Context): void {
  const command = program.command("profile").summary("show where a model spends its time, by kernel and by layer");
  requireOption(command, "-m, --model <folder>", "a checkpoint folder written by heed train");
  const only = new Option("--program <name>", `the only program to run: ${WORKLOADS.join(", ")}; all of the model's by default`);
  command
    .addOption(only.argParser(choice("program", WORKLOADS)))
    .option("--batch <n>", "number of sequences in a batch", positiveInteger, 8)
    .option("--length <n>", `tokens per sequence (default: ${LENGTH}, or the model's maximum if that is less)`, positiveInteger)
    .option("--seconds <s>", "how long to measure each program, in seconds", notNegative, 1)
    .option("--threads <n>", "compute threads; starting and awaiting them adds microseconds to each instruction", threadCount, 1)
    .option("--trace <file>", "write a Chrome trace, for ui.perfetto.dev or chrome://tracing");
  addCommonOptions(command)
    .description("Times a model's programs, instruction by instruction, and compares them with the limits of the machine.")
    .addHelpText("after", `
Programs:
  prompt  stores one sequence's keys and values
  step    decodes the next token of each sequence, given all the tokens before it
  train   computes the loss, the gradients and the update for a batch
  encode  encodes the sources (encoder-decoder models only)
They run on made-up tokens and do not change the checkpoint.

Each time is the median over many runs. Matrix products and attention are limited by arithmetic, in GFLOP/s; most other instructions by
the bytes they read and write, in GB/s. "of limit" compares the rate with that of a loop that only computes, in 128-bit vectors, or only
reads memory, measured alternately. It can exceed 100 % if operands are in a cache. "backward" is the share of a layer's time spent on
gradients.

Examples:
  heed profile --model runs/dates
  heed profile --model runs/shakespeare --program train --batch 12 --length 64 --trace step.json`)
    .action((options: ProfileCommandOptions) => run(options, context));
}

async function run(options: ProfileCommandOptions, context: Context): Promise<void> {
  const { model: folder, batch, seconds, trace } = options;
  const loaded = await load(options, context);
  const { build, threads } = loaded.model.weights.runtime;
  const most = longest(loaded);
  const { length = Math.min(LENGTH, most) } = options;
  if (length > most) throw new HeedError("data", `--length ${length}: the model takes at most ${most} tokens`);

  const limits = await machineLimits();
  const profiles: { name: string; profile: Profile }[] = [];
  for (const [name, make] of chosenWorkloads(loaded, { batch, length }, options.program)) {
    profiles.push({ name, profile: await profile(make(), { now: () => performance.now(), limits, seconds, threads }) });
  }
  if (trace !== undefined) {
    const tracks = profiles.map(({ name, profile: { lines } }) => ({ name, lines }));
    await nodeFiles.write(trace, new TextEncoder().encode(JSON.stringify(chromeTrace(tracks))));
  }
  const cores = threads === 1 ? "one thread" : `${threads} threads`;
  const head = `${folder}: a ${loaded.type}, ${batch} × ${length} tokens, ${cores}, build ${build}`;
  const programs = profiles.map(({ name, profile }) => toJSON(name, profile));
  const result = { model: folder, type: loaded.type, build, threads, batch, length, programs };
  await report(context, options, result, [head, ...profiles.map(({ name, profile }) => describe(name, profile))].join("\n\n"));
}

const giga = (perMs: number): number => perMs / 1e6;
const round = (x: number): number => Number(x.toPrecision(5));

function toJSON(name: string, profile: Profile): object {
  const { limits, runs } = profile;
  const row = ({ name, calls, ms, backwardMs, share, flops, bytes, bound, ofLimit }: Summary): object => ({
    name, calls, ms: round(ms), backwardMs: round(backwardMs), share: round(share), flops, bytes,
    gflops: round(giga(flops / ms)), gbps: round(giga(bytes / ms)), bound, ofLimit: round(ofLimit),
  });
  return {
    ...row({ ...total(profile), name }), runs, limits: { gflops: round(giga(limits.flops)), gbps: round(giga(limits.bytes)) },
    kernels: byKernel(profile).map(row), layers: byLayer(profile).map(row),
  };
}

function describe(name: string, profile: Profile): string {
  const { limits, runs } = profile;
  const { ms, flops, ofLimit } = total(profile);
  const hasBackward = profile.lines.some(({ backward }) => backward);
  const measured = `median of ${runs} runs; limits: ${rate(limits.flops, "flops")}, ${rate(limits.bytes, "bytes")}`;
  return [
    `${name}: ${ms.toFixed(2)} ms, ${(flops / 1e9).toFixed(3)} GFLOP, ${percent(ofLimit)} of the limit (${measured})`,
    rows("kernel", byKernel(profile), false),
    rows("layer", byLayer(profile), hasBackward),
  ].join("\n\n");
}

function rows(title: string, summaries: readonly Summary[], hasBackward: boolean): string {
  const head = [title, "calls", "ms", "share", ...(hasBackward ? ["backward"] : []), align("rate"), "of limit"];
  const body = summaries.map(({ name, calls, ms, backwardMs, share, flops, bytes, bound, ofLimit }) => [
    name, String(calls), ms.toFixed(3), percent(share), ...(hasBackward ? [percent(ms > 0 ? backwardMs / ms : 0)] : []),
    align(rate((bound === "flops" ? flops : bytes) / ms, bound)), percent(ofLimit),
  ]);
  return table([head, ...body], head.map((_, column) => column).slice(1));
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const rate = (perMs: number, bound: Summary["bound"]): string => `${giga(perMs).toFixed(1)} ${bound === "flops" ? "GFLOP/s" : "GB/s"}`;
/** Pads a rate so that figures line up whatever their unit. */
const align = (rate: string): string => rate.replace(/ GB\/s$|^rate$/, (unit) => unit.padEnd(" GFLOP/s".length));
