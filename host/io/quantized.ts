import { formats } from "../graph/formats";
import type { IntegerFormat } from "../graph/formats/integers";
import type { Parameter } from "../graph/parameter";
import type { Weights } from "../nn/weights";
import { convert, type Dtype, type StoredTensor } from "./dtype";
import type { FloatSink, TensorFile } from "./tensorfile";

// A weight [R, C] that is stored as integers takes two tensors of a file: its integers under its own name, and the scales of its groups
// under <name>.scales, F16 [R, groups]. Integers of eight bits are I8 [R, C]; those of four bits are U8 [R, ceil(C / 2)], two to a byte,
// the lower half first, each stored as itself plus 8. Quantizing a second time changes nothing, so reading rows as f32 loses nothing.

/** The formats in which a file can store weights as integers. */
export const integerFormats = ["int8", "int8row", "int4"] as const;
export type IntegerFormatName = (typeof integerFormats)[number];

const SCALES = ".scales";
/** Elements that are read at once. */
const CHUNK = 2 ** 20;

/** The shape and dtype of a tensor of a file; dtype is undefined for any floating-point numbers. */
interface Expected {
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
}

/** The format of integers that a model's weights have in memory; undefined if they have none. */
export function integerFormatOf({ parameters }: Weights): IntegerFormatName | undefined {
  return integerFormats.find((name) => [...parameters.values()].some(({ format }) => format === name));
}

/** The tensors that a file with these parameters contains. */
export function expectedTensors(parameters: ReadonlyMap<string, Parameter>, format: IntegerFormatName | undefined): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  for (const [name, parameter] of parameters) {
    if (!format || parameter.formats === "f32") expected.set(name, { shape: parameter.shape });
    else {
      const [R = 1, C = 1] = parameter.shape;
      const { bits, group } = formats[format];
      expected.set(name, bits === 8 ? { shape: [R, C], dtype: "I8" } : { shape: [R, Math.ceil(C / 2)], dtype: "U8" });
      expected.set(name + SCALES, { shape: [R, Math.ceil(C / group(C))], dtype: "F16" });
    }
  }
  return expected;
}

/** A model's weights as the tensors of a file. */
export function tensorsOf(weights: Weights): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { state, format: dtype, shape }] of weights.parameters) {
    const format = formats[dtype] as Partial<IntegerFormat>;
    if (!format.readIntegers) {
      tensors.set(name, { dtype: "F32", shape, data: state!.read() as Float32Array });
      continue;
    }
    const [R = 1, C = 1] = shape;
    const { integers, scales } = format.readIntegers(state!.block, state!.offset, shape);
    if (format.bits === 8) tensors.set(name, { dtype: "I8", shape: [R, C], data: integers });
    else tensors.set(name, { dtype: "U8", shape: [R, Math.ceil(C / 2)], data: pack(integers, R, C) });
    tensors.set(name + SCALES, { dtype: "F16", shape: [R, scales.length / R], data: Uint16Array.from(scales, halfOf) });
  }
  return tensors;
}

/** Reads a parameter that a file stores as integers, as rows of f32. */
export async function readIntegers(
  file: TensorFile, name: string, [R = 1, C = 1]: readonly number[], format: IntegerFormatName, write: FloatSink,
): Promise<void> {
  const { bits, group } = formats[format];
  const [size, groups, stored] = [group(C), Math.ceil(C / group(C)), bits === 8 ? C : Math.ceil(C / 2)];
  const atOnce = Math.max(1, Math.floor(CHUNK / C));
  for (let row = 0; row < R; row += atOnce) {
    const rows = Math.min(atOnce, R - row);
    const integers = await file.readElements(name, row * stored, rows * stored);
    const halves = await file.readElements(name + SCALES, row * groups, rows * groups);
    const scales = new Float32Array(halves.length);
    convert("F16", halves as Uint16Array, scales);
    const values = new Float32Array(rows * C);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < C; c++) {
        const q = bits === 8 ? (integers as Int8Array)[r * C + c]! : nibble((integers as Uint8Array)[r * stored + (c >> 1)]!, c);
        values[r * C + c] = q * scales[r * groups + Math.floor(c / size)]!;
      }
    }
    write(values, row * C);
  }
}

const nibble = (byte: number, column: number): number => (column % 2 === 0 ? byte & 15 : byte >> 4) - 8;

function pack(integers: Int8Array, R: number, C: number): Uint8Array {
  const row = Math.ceil(C / 2);
  const bytes = new Uint8Array(R * row).fill(0x88); // zeros
  for (let r = 0; r < R; r++) {
    for (let c = 0; c < C; c++) {
      const at = r * row + (c >> 1);
      const value = integers[r * C + c]! + 8;
      bytes[at] = c % 2 === 0 ? (bytes[at]! & 0xf0) | value : (bytes[at]! & 0x0f) | (value << 4);
    }
  }
  return bytes;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The f16 bits of a scale, which is positive and exactly representable. */
function halfOf(scale: number): number {
  if (scale < 2 ** -14) return scale * 2 ** 24; // subnormal
  float[0] = scale;
  return (word[0]! >>> 13) - (112 << 10);
}
