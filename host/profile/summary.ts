import type { Profile, ProfileLine } from "./profile";

/** The totals of a group of instructions: those of a kernel, of a layer, or all. */
export interface Summary {
  readonly name: string;
  /** Number of instructions. */
  readonly calls: number;
  readonly ms: number;
  /** The part of `ms` spent in backward passes. */
  readonly backwardMs: number;
  /** Fraction of the profile's total time, in [0, 1]. */
  readonly share: number;
  readonly flops: number;
  readonly bytes: number;
  /** Which limit takes longer: arithmetic, or memory traffic if nothing were cached. */
  readonly bound: "flops" | "bytes";
  /** The time at the machine's limits, divided by the measured time. Above 1 if caches are faster than memory. */
  readonly ofLimit: number;
}

/** The name of the group of instructions recorded outside layers. */
export const NO_LAYER = "(model)";

/** Summarizes a profile by kernel, slowest first. */
export const byKernel = (profile: Profile): Summary[] => summarize(profile, ({ name }) => name).sort((a, b) => b.ms - a.ms);

/** Summarizes a profile by layer, in program order. Layers of a stack are split into parts, such as `encoder.layers.0.attention`. */
export const byLayer = (profile: Profile): Summary[] => summarize(profile, ({ layer }) => partOf(layer));

/** Summarizes a whole profile. */
export const total = (profile: Profile): Summary => summarize(profile, () => "total")[0]!;

/** The path up to the name after its last number: `layers.0.attention.output` becomes `layers.0.attention`. */
function partOf(layer: string): string {
  const names = layer.split(".");
  const number = names.map((name) => /^\d+$/.test(name)).lastIndexOf(true);
  return (number < 0 ? layer : names.slice(0, number + 2).join(".")) || NO_LAYER;
}

function summarize({ lines, limits }: Profile, nameOf: (line: ProfileLine) => string): Summary[] {
  const groups = new Map<string, ProfileLine[]>();
  for (const line of lines) {
    const name = nameOf(line);
    const group = groups.get(name);
    if (group) group.push(line);
    else groups.set(name, [line]);
  }
  const all = sum(lines, ({ ms }) => ms);
  return Array.from(groups, ([name, group]) => {
    const [ms, flops, bytes] = [sum(group, ({ ms }) => ms), sum(group, ({ flops }) => flops), sum(group, ({ bytes }) => bytes)];
    const least = sum(group, (line) => Math.max(line.flops / limits.flops, line.bytes / limits.bytes));
    const backwardMs = sum(group, ({ ms, backward }) => (backward ? ms : 0));
    const bound = flops / limits.flops >= bytes / limits.bytes ? ("flops" as const) : ("bytes" as const);
    const [share, ofLimit] = [all > 0 ? ms / all : 0, ms > 0 ? least / ms : 0];
    return { name, calls: group.length, ms, backwardMs, share, flops, bytes, bound, ofLimit };
  });
}

const sum = <T>(values: readonly T[], of: (value: T) => number): number => values.reduce((sum, value) => sum + of(value), 0);
