/** Runs instructions written for the kernels of this checkout on those of an older one. */
import { encode } from "../checkout.mjs";
import { current, Kernels, Op, Window } from "../kernels.mjs";

/** The value that an operand must have if the older kernel lacks it. */
const neutral = ({ H, D }) => ({
  bias: null, pages: null, past: null, dBias: null, Hkv: H, P: 0, dimK: 1, headK: D, headV: D, pageK: 0, pageV: 0,
  biasBatch: 0, biasHead: 0, biasRow: 0, left: Window.Unlimited, factor: 1, format: 0,
});

/** Operands that only older kernels have: the current operand that each is computed from, and how. */
const former = {
  ldk: ["tokenK", (stride) => stride],
  ldv: ["tokenV", (stride) => stride],
  causal: ["right", (right) => ({ 0: true, [Window.Unlimited]: false })[right]],
};

/**
 * Converts the operands of an instruction to those of an older kernel.
 * @param signature  the signature of the older kernel
 * @param operands   the current operands, by name
 * @throws TypeError if the older kernel cannot compute the same result
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
    encode(current, Op[op], operands); // throws if operands are missing
    return encode(this.checkout, Op[op], asOlder(this.checkout.signatures.get(Op[op]), operands));
  }
}
