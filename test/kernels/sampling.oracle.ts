import { philox } from "../../host/data/random";

/** The settings that decide a row's distribution; tokens and numbers as in `Sampler`. */
export interface Choice {
  logitBias?: readonly (readonly [id: number, value: number])[];
  banned?: readonly number[];
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  noRepeatNGram?: number;
  minTokens?: number;
  end?: readonly number[];
  forced?: readonly (readonly [index: number, id: number])[];
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  typicalP?: number;
}

/** The logits after bias, penalties and prohibitions, in f64. `generated` of the tokens have been generated. */
export function adjusted(logits: ArrayLike<number>, choice: Choice, tokens: readonly number[], generated: number): number[] {
  const { logitBias = [], banned = [], repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, noRepeatNGram: n = 0 } = choice;
  const x = Array.from(logits);
  for (const [id, value] of logitBias) x[id]! += value;
  for (const id of new Set(tokens)) x[id] = x[id]! < 0 ? x[id]! * repetitionPenalty : x[id]! / repetitionPenalty;
  const counts = new Map<number, number>();
  for (const id of tokens.slice(tokens.length - generated)) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, times] of counts) x[id]! -= presencePenalty + frequencyPenalty * times;
  for (let i = 0; n > 0 && i + n <= tokens.length; i++) {
    if (Array.from({ length: n - 1 }, (_, j) => tokens[i + j] === tokens[tokens.length - n + 1 + j]).every(Boolean)) x[tokens[i + n - 1]!] = -Infinity;
  }
  for (const id of banned) x[id] = -Infinity;
  if (generated < (choice.minTokens ?? 0)) for (const id of choice.end ?? []) x[id] = -Infinity;
  return x;
}

/** The probabilities from which a token is drawn, in f64; at temperature 0, all of it is on the largest logit. */
export function distribution(logits: ArrayLike<number>, choice: Choice, tokens: readonly number[] = [], generated = 0): number[] {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, typicalP = 1, forced = [] } = choice;
  const must = forced.find(([index]) => index === generated)?.[1];
  if (must !== undefined) return Array.from(logits, (_, id) => (id === must ? 1 : 0));
  const x = adjusted(logits, choice, tokens, generated);
  const largest = Math.max(...x);
  if (temperature === 0) return x.map((_, id) => (id === x.indexOf(largest) ? 1 : 0));
  const kth = topK > 0 && topK < x.length ? [...x].sort((a, b) => b - a)[topK - 1]! : -Infinity;
  let p = normalized(x.map((value) => (value >= kth ? Math.exp((value - largest) / temperature) : 0)));
  if (topP < 1) p = keepUntil(p, topP, (q) => -q);
  if (minP > 0) p = normalized(p.map((q) => (q >= minP * Math.max(...p) ? q : 0)));
  if (typicalP < 1) {
    const entropy = -p.reduce((sum, q) => sum + (q > 0 ? q * Math.log(q) : 0), 0);
    p = keepUntil(p, typicalP, (q) => Math.abs(-Math.log(q) - entropy));
  }
  return p;
}

/** Keeps tokens in the order of their keys until they have the given mass; ties with the last one too. */
function keepUntil(p: number[], mass: number, keyOf: (q: number) => number): number[] {
  let sum = 0;
  let last = -Infinity;
  for (const q of p.filter((q) => q > 0).sort((a, b) => keyOf(a) - keyOf(b))) {
    last = keyOf(q);
    sum += q;
    if (sum >= mass) break;
  }
  return normalized(p.map((q) => (q > 0 && keyOf(q) <= last ? q : 0)));
}

function normalized(weights: number[]): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** The token drawn with a uniform number: the first at which the cumulative probability exceeds it. Null within `margin` of a boundary. */
export function draw(p: readonly number[], u: number, margin = 1e-5): number | null {
  let cumulative = 0;
  for (const [v, q] of p.entries()) {
    cumulative += q;
    if (q > 0 && q < 1 && Math.abs(cumulative - u) < margin) return null;
    if (cumulative > u && q > 0) return v;
  }
  return null;
}

/** The uniform number of a row's step. */
export const uniformOf = ([low, high]: readonly [number, number], step: number): number => philox([low, high], [0, 0, step, 0])[0]! / 2 ** 32;
