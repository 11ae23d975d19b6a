import { sizeOf } from "../shape";
import type { Format } from "./format";

/** The upper half of an f32: 8 bits of exponent, 7 of fraction. Takes half the memory; rounds to nearest, ties to even. */
export const bf16 = {
  name: "bf16",
  code: 1,
  bytes: (shape) => sizeOf(shape) * 2,
  write(block, offset, _shape, values, from) {
    const words = new Uint32Array(Float32Array.from(values).buffer);
    const halves = new Uint16Array(words.length);
    for (let i = 0; i < words.length; i++) halves[i] = round(words[i]!);
    block.u8(offset + 2 * from, 2 * halves.length).set(new Uint8Array(halves.buffer));
  },
  read(block, offset, shape) {
    const halves = new Uint16Array(block.u8(offset, 2 * sizeOf(shape)).slice().buffer);
    const words = new Uint32Array(halves.length);
    for (let i = 0; i < words.length; i++) words[i] = halves[i]! << 16;
    return new Float32Array(words.buffer);
  },
} as const satisfies Format;

/** The bits of the nearest bf16; NaN stays NaN. */
function round(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}
