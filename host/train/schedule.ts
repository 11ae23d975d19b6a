import { byKind, checkConfig, type FieldsByName, notNegative, oneOf, optional, positive } from "../fields";

/**
 * Learning rates over time. A schedule is data, so that a checkpoint can hold it; `learningRate` evaluates it.
 * Steps count from 1. `warmup` steps rise linearly to `peak`.
 */
export type Schedule =
  | { readonly kind: "constant"; readonly peak: number; readonly warmup?: number }
  /** Falls in a straight line to `final` (0) at the last step. */
  | { readonly kind: "linear"; readonly peak: number; readonly warmup?: number; readonly final?: number }
  /** Falls along half a cosine to `final` (0) at the last step (Loshchilov & Hutter 2017, arXiv:1608.03983). */
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
 * @throws TypeError for another kind, or a field that is missing, unknown or not a number; RangeError for one out of range, and where a
 *   learning rate would not fit an f32
 */
export function checkSchedule(schedule: Schedule, steps: number): void {
  checkConfig("schedule", ...byKind(schedule, scheduleFields));
  const warmup = Math.min(steps, Math.max(1, Math.round(schedule.warmup ?? 1)));
  for (const step of [1, warmup, steps]) {
    const rate = learningRate(schedule, step, steps);
    if (!(Math.fround(rate) < Infinity)) throw new RangeError(`schedule: expected learning rates that fit an f32, got ${rate} at step ${step}`);
  }
}

/**
 * The learning rate of `step` in a training of `steps`.
 * It uses only IEEE-exact operations, so the same bits come out on every engine.
 *
 * @example
 * learningRate({ kind: "cosine", peak: 1e-3, final: 1e-4, warmup: 100 }, 100, 2000); // 1e-3
 */
export function learningRate(schedule: Schedule, step: number, steps: number): number {
  if (!Object.hasOwn(scheduleFields, schedule?.kind)) throw new TypeError(`learningRate: expected a schedule of kind constant, linear, cosine or noam, got ${JSON.stringify(schedule?.kind)}`);
  if (schedule.kind === "noam") {
    const { width, warmup, factor = 1 } = schedule;
    return (factor / Math.sqrt(width)) * Math.min(1 / Math.sqrt(step), step / (warmup * Math.sqrt(warmup)));
  }
  const { peak, warmup = 0 } = schedule;
  if (step < warmup) return (peak * step) / warmup;
  if (schedule.kind === "constant") return peak;
  const { final = 0 } = schedule;
  const progress = steps > warmup ? Math.min(1, (step - warmup) / (steps - warmup)) : 1;
  const share = schedule.kind === "linear" ? 1 - progress : Math.max(0, 0.5 * (1 + cosine(progress * Math.PI))); // cos π is 1e-16 below −1
  return final + (peak - final) * share;
}

/**
 * cos on [0, π], absolute error < 1e-15: Math.cos may differ in the last bit between engines, and a learning rate must not.
 * Taylor's series about π/2: cos x = −sin(x − π/2).
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
