/** Runs instructions that are written for this checkout's kernels on those of an older one. */
import { encode } from "../checkout.mjs";
import { current, Kernels, Op, Window } from "../kernels.mjs";

/** The value that an operand must have where the older kernel lacks it. */
const neutral = ({ H, D }) => ({
  bias: null, pages: null, past: null, dBias: null, Hkv: H, P: 0, dimK: 1, headK: D, headV: D, pageK: 0, pageV: 0,
  biasBatch: 0, biasHead: 0, biasRow: 0, left: Window.Unlimited, factor: 1, format: 0,
});

/** Operands that only older kernels have: today's operand that each is computed from, and how. */
const former = {
  ldk: ["tokenK", (stride) => stride],
  ldv: ["tokenV", (stride) => stride],
  causal: ["right", (right) => ({ 0: true, [Window.Unlimited]: false })[right]],
};

/**
 * The operands of an older kernel.
 * @param signature  the older kernel's
 * @param operands   today's, by name
 * @throws TypeError when the older kernel cannot compute the same
 */
export function asOlder(signature, operands) {
  const values = {};
  const lost = new Set(Object.keys(operands));
  for (const { name } of signature) {
    const [source, convert] = name in operands ? [name, (value) => value] : (former[name] ?? [name, () => undefined]);
    values[name] = convert(operands[source]);
    if (values[name] !== undefined) lost.delete(source);
  }
  const needed = [...lost].filter((name) => operands[name] !== neutral(operands)[name]);
  if (needed.length > 0) throw new TypeError(`the older kernel has no operand ${needed.map((name) => `${name} = ${operands[name]}`).join(", ")}`);
  return values;
}

export class OlderKernels extends Kernels {
  encode([op, operands]) {
    encode(current, Op[op], operands); // throws unless they are complete
    return encode(this.checkout, Op[op], asOlder(this.checkout.signatures.get(Op[op]), operands));
  }
}
