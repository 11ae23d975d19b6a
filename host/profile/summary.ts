import type { Profile, ProfileLine } from "./profile";

/** Some instructions of a profile together: those of a kernel, of a layer, or all. */
export interface Summary {
  readonly name: string;
  /** Instructions. */
  readonly calls: number;
  readonly ms: number;
  /** Of it, in backward passes. */
  readonly backwardMs: number;
  /** Of the profile's time, in [0, 1]. */
  readonly share: number;
  readonly flops: number;
  readonly bytes: number;
  /** What would take the machine longer: the arithmetic, or the bytes, were they all to come from memory. */
  readonly bound: "flops" | "bytes";
  /** The time that the limits allow, over the time it took. Above 1 where caches are faster than memory. */
  readonly ofLimit: number;
}

/** Instructions that no layer recorded. */
export const NO_LAYER = "(model)";

/** A profile by kernel, the slowest first. */
export const byKernel = (profile: Profile): Summary[] => summarize(profile, ({ name }) => name).sort((a, b) => b.ms - a.ms);

/** A profile by layer, in the order of the program: of a stack's layers their parts, such as `encoder.layers.0.attention`. */
export const byLayer = (profile: Profile): Summary[] => summarize(profile, ({ layer }) => partOf(layer));

/** All of a profile. */
export const total = (profile: Profile): Summary => summarize(profile, () => "total")[0]!;

/** A path up to the name after its last number: `layers.0.attention.output` is part of `layers.0.attention`. */
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
    return {
      name, calls: group.length, ms, backwardMs: sum(group, ({ ms, backward }) => (backward ? ms : 0)), share: all > 0 ? ms / all : 0,
      flops, bytes, bound: flops / limits.flops >= bytes / limits.bytes ? ("flops" as const) : ("bytes" as const), ofLimit: ms > 0 ? least / ms : 0,
    };
  });
}

const sum = <T>(values: readonly T[], of: (value: T) => number): number => values.reduce((sum, value) => sum + of(value), 0);
