/** Today's instructions for the kernels of an older checkout. */
import { encode } from "../checkout.mjs";
import { current, Kernels, Op, Window } from "../kernels.mjs";

/** What an operand that an older kernel lacks must be, so that the kernel computes the same without it. */
const neutral = ({ H, D }) => ({
  bias: null, pages: null, past: null, dBias: null, Hkv: H, P: 0, dimK: 1, headK: D, headV: D, pageK: 0, pageV: 0,
  biasBatch: 0, biasHead: 0, biasRow: 0, left: Window.Unlimited, factor: 1, format: 0,
});

/** Operands of older kernels, made of today's. */
const former = {
  ldk: { of: ["tokenK"], value: ({ tokenK }) => tokenK },
  ldv: { of: ["tokenV"], value: ({ tokenV }) => tokenV },
  causal: { of: ["right"], value: ({ right }) => (right === Window.Unlimited ? false : right === 0 ? true : undefined) },
};

/**
 * Today's operands under the names of an older signature.
 * @throws TypeError when the older kernel cannot compute the same
 */
export function asOlder(signature, operands) {
  const names = signature.map(({ name }) => name);
  const values = Object.fromEntries(names.map((name) => [name, name in operands ? operands[name] : former[name]?.value(operands)]));
  const used = new Set(names.flatMap((name) => (name in operands ? [name] : (former[name]?.of ?? []))));
  const lost = Object.entries(operands).filter(([name, value]) => !used.has(name) && value !== neutral(operands)[name]);
  if (lost.length > 0) throw new TypeError(`the older kernel has no operand ${lost.map(([name, value]) => `${name} = ${value}`).join(", ")}`);
  return values;
}

export class OlderKernels extends Kernels {
  encode([op, operands]) {
    encode(current, Op[op], operands); // must be complete for today's kernel
    return encode(this.checkout, Op[op], asOlder(this.checkout.signatures.get(Op[op]), operands));
  }
}
