import { linear } from "../../host/graph/ops/linear";
import { Activation } from "../../host/graph/ops/activation";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import type { Loss } from "../../host/graph/loss";
import { type BatchOf, ids, type Inputs, numbers } from "../../host/models/inputs";
import { Model } from "../../host/models/model";
import { Linear } from "../../host/nn/linear";
import { uniform } from "../random";

const inputs = { pixels: numbers(["B", 16]), digits: ids(["B"], 10), parity: ids(["B"], 2, -1) };

/** A custom model, as a user would write it: pixels in, two heads out. The second head has half the weight in the loss. */
export class Digits extends Model<typeof inputs> {
  readonly hidden = new Linear(16, 12);
  readonly digit = new Linear(12, 10, { bias: false });
  readonly parity = new Linear(12, 2, { bias: false });
  readonly inputs = inputs;

  override loss({ pixels, digits, parity }: Inputs<typeof inputs>): Loss {
    const x = linear(pixels, this.hidden.weight, this.hidden.bias, Activation.Relu);
    return crossEntropy(x, this.digit.weight, digits).plus(crossEntropy(x, this.parity.weight, parity).times(0.5));
  }
}

/** Images whose first pixels encode the digit. Every third parity is ignored. */
export function digitsBatch(seed: number, rows: number): BatchOf<typeof inputs> {
  const next = uniform(seed);
  const digits = Int32Array.from({ length: rows }, () => Math.floor(10 * next()));
  const pixels = Float32Array.from({ length: 16 * rows }, (_, i) => (digits[i >> 4] === i % 16 ? 1 : 0.2 * next()));
  const parity = digits.map((digit, i) => (i % 3 === 2 ? -1 : digit % 2));
  return { pixels: { shape: [rows, 16], data: pixels }, digits: { shape: [rows], data: digits }, parity: { shape: [rows], data: parity } };
}
