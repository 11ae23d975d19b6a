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

/** Tokens of a sequence, unless the model takes fewer. */
const LENGTH = 64;

export function addProfile(program: Command, context: Context): void {
  const command = program.command("profile").summary("show where a model's time goes, by kernel and by layer");
  requireOption(command, "-m, --model <folder>", "a checkpoint, as train wrote it");
  command
    .addOption(new Option("--program <name>", `what to run, if not all that the model does: ${WORKLOADS.join(", ")}`).argParser(choice("program", WORKLOADS)))
    .option("--batch <n>", "sequences at once", positiveInteger, 8)
    .option("--length <n>", `tokens of a sequence (default: ${LENGTH}, or the most that the model takes)`, positiveInteger)
    .option("--seconds <s>", "how long to measure each program", notNegative, 1)
    .option("--threads <n>", "threads that compute; each instruction alone wakes and awaits them, which costs it some microseconds", threadCount, 1)
    .option("--trace <file>", "write a Chrome trace, for ui.perfetto.dev or chrome://tracing");
  addCommonOptions(command)
    .description("Times a model's programs, instruction by instruction, beside what the machine can do at most.")
    .addHelpText("after", `
Programs: prompt stores one sequence's keys and values, step decodes the next token of each sequence from all that went before, and train
computes loss, gradients and update of a batch; an encoder-decoder also has encode, of the sources. The tokens are made up. The checkpoint
stays as it is.

How to read it: a time is the median over many runs. Matrix products and attention are bound by arithmetic, in GFLOP/s; most else by the
bytes that it reads and writes, in GB/s. "of limit" compares with a loop that only computes, in 128-bit vectors, or only reads memory,
timed in turn; what finds its operands in a cache can be above 100 %. "backward" is the part of a layer's time that its gradients take.

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
  const head = `${folder}: a ${loaded.type}, ${batch} × ${length} tokens, ${threads === 1 ? "one thread" : `${threads} threads`}, build ${build}`;
  const result = { model: folder, type: loaded.type, build, threads, batch, length, programs: profiles.map(({ name, profile }) => toJSON(name, profile)) };
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
  return [
    `${name}: ${ms.toFixed(2)} ms, ${(flops / 1e9).toFixed(3)} GFLOP, ${percent(ofLimit)} of the limit (median of ${runs} runs; the limits: ${rate(limits.flops, "flops")}, ${rate(limits.bytes, "bytes")})`,
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
/** Figures below each other, whatever their unit. */
const align = (rate: string): string => rate.replace(/ GB\/s$|^rate$/, (unit) => unit.padEnd(" GFLOP/s".length));
