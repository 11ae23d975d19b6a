/**
 * Adjustments of a row's logits before a token is chosen, in Hugging Face's order: bias, repetition penalty, presence and frequency
 * penalties, no repeated n-grams.
 */
import { Sampling } from "../layouts";
import { element } from "./element";

/** Whether a row's settings adjust its logits. */
export function adjusts(settings: usize): bool {
  return (
    load<i32>(settings, Sampling.Bias) != 0 || load<i32>(settings, Sampling.NGram) != 0 || load<f32>(settings, Sampling.Repetition) != 0 ||
    load<f32>(settings, Sampling.Presence) != 0 || load<f32>(settings, Sampling.Frequency) != 0
  );
}

/**
 * Adjusts x in place.
 * @param x         f32 [V]
 * @param settings  Sampling.Bytes bytes
 * @param history   i32 [count]: the row's tokens
 * @param bias      f32 [rows, V]: the table that Sampling.Bias refers to
 * @param seen      i32 [V] of scratch
 */
export function adjustRow(x: usize, settings: usize, history: usize, count: i32, bias: usize, seen: usize, V: i32): void {
  const biasRow = load<i32>(settings, Sampling.Bias);
  if (biasRow != 0) addBias(x, bias + ((<usize>(biasRow - 1) * V) << 2), V);
  const repetition = load<f32>(settings, Sampling.Repetition);
  if (repetition != 0) penalizeRepetition(x, repetition, history, count, seen);
  const presence = load<f32>(settings, Sampling.Presence);
  const frequency = load<f32>(settings, Sampling.Frequency);
  if (presence != 0 || frequency != 0) {
    const prompt = min(load<i32>(settings, Sampling.Prompt), count);
    penalizeCounts(x, presence, frequency, element(history, prompt), count - prompt, seen);
  }
  const n = load<i32>(settings, Sampling.NGram);
  if (n != 0) forbidRepeatedNGrams(x, n, history, count);
}

// A bias of −Infinity forbids a token.
function addBias(x: usize, bias: usize, V: i32): void {
  for (; V >= 4; V -= 4, x += 16, bias += 16) v128.store(x, f32x4.add(v128.load(x), v128.load(bias)));
  for (; V > 0; V--, x += 4, bias += 4) store<f32>(x, load<f32>(x) + load<f32>(bias));
}

/** Keskar et al. 2019 (CTRL, arXiv:1909.05858), section 4.1: x / penalty, or x·penalty where x < 0, once for each token of the row. */
function penalizeRepetition(x: usize, penalty: f32, history: usize, count: i32, seen: usize): void {
  countTokens(seen, history, count);
  for (let i = 0; i < count; i++) {
    const token = load<i32>(element(history, i));
    if (load<i32>(element(seen, token)) == 0) continue;
    store<i32>(element(seen, token), 0);
    const value = load<f32>(element(x, token));
    store<f32>(element(x, token), value < 0 ? value * penalty : value / penalty);
  }
}

// x − presence − frequency·(number of occurrences), for each token generated so far.
function penalizeCounts(x: usize, presence: f32, frequency: f32, history: usize, count: i32, seen: usize): void {
  countTokens(seen, history, count);
  for (let i = 0; i < count; i++) {
    const token = load<i32>(element(history, i));
    const times = load<i32>(element(seen, token));
    if (times == 0) continue;
    store<i32>(element(seen, token), 0);
    store<f32>(element(x, token), load<f32>(element(x, token)) - (presence + frequency * <f32>times));
  }
}

// seen[token] = the number of occurrences, for the tokens of the history only.
function countTokens(seen: usize, history: usize, count: i32): void {
  for (let i = 0; i < count; i++) store<i32>(element(seen, load<i32>(element(history, i))), 0);
  for (let i = 0; i < count; i++) {
    const at = element(seen, load<i32>(element(history, i)));
    store<i32>(at, load<i32>(at) + 1);
  }
}

/** Paulus et al. 2017 (arXiv:1705.04304), section 2.5: forbids each token that would complete an n-gram that is already in the row. */
function forbidRepeatedNGrams(x: usize, n: i32, history: usize, count: i32): void {
  const last = element(history, count - (n - 1)); // the n − 1 tokens that the new one would follow
  for (let i = 0; i + n <= count; i++) {
    if (memory.compare(element(history, i), last, <usize>(n - 1) << 2) != 0) continue;
    store<f32>(element(x, load<i32>(element(history, i + n - 1))), -Infinity);
  }
}
