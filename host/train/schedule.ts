import { byKind, checkConfig, type FieldsByName, notNegative, oneOf, optional, positive } from "../fields";

/**
 * A learning rate schedule. It is plain data, so that a checkpoint can hold it; `learningRate` evaluates it.
 * Steps count from 1. The rate rises linearly to `peak` over `warmup` steps.
 */
export type Schedule =
  | { readonly kind: "constant"; readonly peak: number; readonly warmup?: number }
  /** Falls linearly to `final` (0 by default) at the last step. */
  | { readonly kind: "linear"; readonly peak: number; readonly warmup?: number; readonly final?: number }
  /** Falls along half a cosine to `final` (0 by default) at the last step (Loshchilov & Hutter 2017, arXiv:1608.03983). */
  | { readonly kind: "cosine"; readonly peak: number; readonly warmup?: number; readonly final?: number }
  /** factor · width^−0.5 · min(step^−0.5, step · warmup^−1.5) (Vaswani 2017, section 5.3). */
  | { readonly kind: "noam"; readonly width: number; readonly warmup: number; readonly factor?: number };

const ramp = { peak: notNegative, warmup: optional(notNegative) };
/** The fields of each kind of schedule. */
export const scheduleFields: Readonly<Record<Schedule["kind"], FieldsByName>> = {
  constant: { kind: oneOf("constant"), ...ramp },
  linear: { kind: oneOf("linear"), ...ramp, final: optional(notNegative) },
  cosine: { kind: oneOf("cosine"), ...ramp, final: optional(notNegative) },
  noam: { kind: oneOf("noam"), width: positive, warmup: positive, factor: optional(notNegative) },
};

/**
 * @throws TypeError for an unknown kind, or a field that is missing, unknown or not a number; RangeError for a field out of range, or
 *   if a learning rate would not fit in an f32
 */
export function checkSchedule(schedule: Schedule, steps: number): void {
  checkConfig("schedule", ...byKind(schedule, scheduleFields));
  const warmup = Math.min(steps, Math.max(1, Math.round(schedule.warmup ?? 1)));
  for (const step of [1, warmup, steps]) {
    const rate = learningRate(schedule, step, steps);
    if (!(Math.fround(rate) < Infinity)) {
      throw new RangeError(`schedule: expected learning rates that fit in an f32, got ${rate} at step ${step}`);
    }
  }
}

/**
 * The learning rate at `step` of a training run of `steps`.
 * It uses only IEEE-exact operations, so the result is bit-identical on every engine.
 *
 * @example
 * learningRate({ kind: "cosine", peak: 1e-3, final: 1e-4, warmup: 100 }, 100, 2000); // 1e-3
 */
export function learningRate(schedule: Schedule, step: number, steps: number): number {
  if (!Object.hasOwn(scheduleFields, schedule?.kind)) {
    const kind = JSON.stringify(schedule?.kind);
    throw new TypeError(`learningRate: expected a schedule of kind constant, linear, cosine or noam, got ${kind}`);
  }
  if (schedule.kind === "noam") {
    const { width, warmup, factor = 1 } = schedule;
    return (factor / Math.sqrt(width)) * Math.min(1 / Math.sqrt(step), step / (warmup * Math.sqrt(warmup)));
  }
  const { peak, warmup = 0 } = schedule;
  if (step < warmup) return (peak * step) / warmup;
  if (schedule.kind === "constant") return peak;
  const { final = 0 } = schedule;
  const progress = steps > warmup ? Math.min(1, (step - warmup) / (steps - warmup)) : 1;
  // max: the computed cos π is 1e-16 below −1
  const share = schedule.kind === "linear" ? 1 - progress : Math.max(0, 0.5 * (1 + cosine(progress * Math.PI)));
  return final + (peak - final) * share;
}

/**
 * cos on [0, π], absolute error < 1e-15, by its Taylor series about π/2: cos x = −sin(x − π/2).
 * Math.cos may differ in the last bit between engines; a learning rate must not.
 */
function cosine(x: number): number {
  const y = x - Math.PI / 2;
  let term = y;
  let sum = y;
  for (let n = 3; n <= 23; n += 2) {
    term *= -(y * y) / ((n - 1) * n);
    sum += term;
  }
  return -sum;
}
