import { IntegerBlock } from "../../../assembly/layouts";
import type { Block } from "../../core/memory";
import { sizeOf } from "../shape";
import type { Format } from "./format";

/** A quantized matrix [R, C] outside linear memory. Element (r, c) is integers[r·C + c]·scales[r·groups + c / group]. */
export interface Integers {
  /** i8 [R, C] */
  readonly integers: Int8Array;
  /** f32 [R, ceil(C / group)], each exactly representable in f16. */
  readonly scales: Float32Array;
}

/** A format that stores integers with a scale for each group of columns. */
export interface IntegerFormat extends Format {
  readonly code: number;
  readonly bits: 4 | 8;
  /** The number of columns with one scale in rows of `columns`, a multiple of 32: the last group may be longer than what is left. */
  group(columns: number): number;
  /** The stored integers and scales. */
  readIntegers(block: Block, offset: number, shape: readonly number[]): Integers;
  /** Stores such integers and scales. @throws RangeError if a length, an integer or a scale is not one of the format */
  writeIntegers(block: Block, offset: number, shape: readonly number[], stored: Integers): void;
}

interface Settings<N extends string> {
  name: N;
  code: number;
  bits: 4 | 8;
  group: (columns: number) => number;
}

type Read = (block: Block, offset: number, shape: readonly number[]) => Float32Array;

/** The largest scale: the largest finite f16. */
const LARGEST = 65504;
/** Added to a number of moderate size, it rounds to an integer, ties to even. */
const MAGIC = 1.5 * 2 ** 52;

/** Symmetric integers, assembly/formats/integers.ts: rounded to the nearest multiple of a scale that f16 represents exactly. */
function integers<N extends string>({ name, code, bits, group }: Settings<N>): IntegerFormat & { name: N; read: Read } {
  const levels = bits === 8 ? 127 : 7;
  const header = bits === 8 ? IntegerBlock.Int8 : IntegerBlock.Int4;
  const rowsOf = ([rows = 1]: readonly number[]): number => rows;
  const columnsOf = ([, ...row]: readonly number[]): number => sizeOf(row);
  const blockBytes = (columns: number): number => header + bits * group(columns);
  const groupsOf = (columns: number): number => Math.ceil(columns / group(columns));
  const bytes = (shape: readonly number[]): number =>
    Math.ceil(rowsOf(shape) / IntegerBlock.Rows) * groupsOf(columnsOf(shape)) * blockBytes(columnsOf(shape));

  /** The places of an array's scales and integers in memory. */
  function placesIn(block: Block, offset: number, shape: readonly number[]) {
    const columns = columnsOf(shape);
    const step = blockBytes(columns);
    const panel = groupsOf(columns) * step;
    const all = bytes(shape);
    const integers = block.u8(offset, all);
    const scales = block.f32(offset, all / 4);
    const offsets = block.i32(offset, all / 4);
    const blockOf = (row: number, g: number): number => Math.floor(row / IntegerBlock.Rows) * panel + g * step;
    /** Where the integer of a column of the group is, for int4 together with another row's. */
    const placeOf = (lane: number, k: number): number =>
      bits === 8 ? (k >> 2) * 32 + lane * 4 + (k & 3) : (k >> 2) * 16 + (lane & 3) * 4 + (((k & 1) << 1) | ((k & 2) >> 1));
    return {
      setScale: (row: number, g: number, scale: number) => void (scales[(blockOf(row, g) >> 2) + (row & 7)] = scale),
      scale: (row: number, g: number) => scales[(blockOf(row, g) >> 2) + (row & 7)]!,
      /** Stores `count` integers of a row, from `from`, and zeros in the rest of the group. */
      setGroup(row: number, g: number, q: Int8Array, from: number, count: number): void {
        const at = blockOf(row, g);
        const lane = row & 7;
        let sum = 0;
        for (let k = 0; k < group(columns); k++) {
          const value = k < count ? q[from + k]! : 0;
          const place = at + header + placeOf(lane, k);
          sum += value;
          if (bits === 8) integers[place] = value;
          else integers[place] = lane < 4 ? (integers[place]! & 0xf0) | (value + 8) : (integers[place]! & 0x0f) | ((value + 8) << 4);
        }
        if (bits === 8) offsets[((at + IntegerBlock.Offsets) >> 2) + lane] = -64 * sum;
      },
      integer(row: number, g: number, k: number): number {
        const byte = integers[blockOf(row, g) + header + placeOf(row & 7, k)]!;
        return bits === 8 ? (byte << 24) >> 24 : ((row & 4 ? byte >> 4 : byte & 15) - 8);
      },
    };
  }

  /** Zeros in the rows past the last one. */
  function clearPadding(block: Block, offset: number, shape: readonly number[]): void {
    const places = placesIn(block, offset, shape);
    const none = new Int8Array(0);
    for (let row = rowsOf(shape); row % IntegerBlock.Rows !== 0; row++) {
      for (let g = 0; g < groupsOf(columnsOf(shape)); g++) {
        places.setScale(row, g, 0);
        places.setGroup(row, g, none, 0, 0);
      }
    }
  }

  return {
    name,
    code,
    bits,
    group,
    rows: IntegerBlock.Rows,
    wholeRows: true,
    bytes,
    write(block, offset, shape, values, from, what) {
      const columns = columnsOf(shape);
      const size = group(columns);
      const places = placesIn(block, offset, shape);
      const q = new Int8Array(size);
      const first = from / columns;
      for (let r = 0; r * columns < values.length; r++) {
        for (let g = 0; g * size < columns; g++) {
          const start = r * columns + g * size;
          const count = Math.min(size, columns - g * size);
          let largest = 0;
          for (let i = start; i < start + count; i++) {
            const magnitude = Math.abs(values[i]!);
            if (!(magnitude <= levels * LARGEST)) {
              const place = `row ${first + r}, column ${i - r * columns}`;
              throw new RangeError(`${what}: ${name} stores finite numbers up to ${levels * LARGEST}, got ${values[i]} in ${place}`);
            }
            if (magnitude > largest) largest = magnitude;
          }
          const scale = scaleOf(largest / levels);
          for (let k = 0; k < count; k++) q[k] = values[start + k]! / scale + MAGIC - MAGIC;
          places.setScale(first + r, g, scale);
          places.setGroup(first + r, g, q, 0, count);
        }
      }
      if (values.length > 0 && from + values.length === sizeOf(shape)) clearPadding(block, offset, shape);
    },
    read(block, offset, shape) {
      const { integers, scales } = this.readIntegers(block, offset, shape);
      const [columns, size, groups] = [columnsOf(shape), group(columnsOf(shape)), groupsOf(columnsOf(shape))];
      return Float32Array.from(integers, (q, i) => q * scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / size)]!);
    },
    readIntegers(block, offset, shape) {
      const [R, C, size, groups] = [rowsOf(shape), columnsOf(shape), group(columnsOf(shape)), groupsOf(columnsOf(shape))];
      const places = placesIn(block, offset, shape);
      const integers = new Int8Array(R * C);
      const scales = new Float32Array(R * groups);
      for (let r = 0; r < R; r++) {
        for (let g = 0; g < groups; g++) scales[r * groups + g] = places.scale(r, g);
        for (let c = 0; c < C; c++) integers[r * C + c] = places.integer(r, Math.floor(c / size), c % size);
      }
      return { integers, scales };
    },
    writeIntegers(block, offset, shape, { integers, scales }) {
      const [R, C, size, groups] = [rowsOf(shape), columnsOf(shape), group(columnsOf(shape)), groupsOf(columnsOf(shape))];
      if (integers.length !== R * C || scales.length !== R * groups) {
        throw new RangeError(`${name}: expected ${R * C} integers and ${R * groups} scales, got ${integers.length} and ${scales.length}`);
      }
      const wrong = integers.find((q) => Math.abs(q) > levels);
      if (wrong !== undefined) throw new RangeError(`${name}: expected integers from −${levels} to ${levels}, got ${wrong}`);
      const odd = scales.find((scale) => scale !== 0 && !(scale <= LARGEST && scale === scaleOf(scale)));
      if (odd !== undefined) throw new RangeError(`${name}: expected scales that f16 has, got ${odd}`);
      const places = placesIn(block, offset, shape);
      for (let r = 0; r < R; r++) {
        for (let g = 0; g < groups; g++) {
          places.setScale(r, g, scales[r * groups + g]!);
          places.setGroup(r, g, integers, r * C + g * size, Math.min(size, C - g * size));
        }
      }
      clearPadding(block, offset, shape);
    },
  };
}

/** Bytes with a scale for every 32 elements of a row: 1.25 bytes an element. */
export const int8 = integers({ name: "int8", code: 3, bits: 8, group: () => IntegerBlock.Group });
/** Bytes with a scale for each row: the fastest for prompts. An outlier costs its whole row precision. */
export const int8row = integers({
  name: "int8row", code: 4, bits: 8, group: (columns) => Math.ceil(columns / IntegerBlock.Group) * IntegerBlock.Group,
});
/** Four bits with a scale for every 32 elements of a row: 0.625 bytes an element. */
export const int4 = integers({ name: "int4", code: 5, bits: 4, group: () => IntegerBlock.Group });

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/**
 * The smallest f16 scale that is at least `least`. It is rounded up so that no integer exceeds its range. Of f16's subnormal numbers,
 * only powers of two are used; a group of zeros gets the smallest. Therefore, quantizing a second time changes nothing.
 */
function scaleOf(least: number): number {
  float[0] = least;
  if (float[0] < least) word[0]!++;
  const step = float[0] < 2 ** -14 ? 0x7fffff : 0x1fff;
  word[0] = (word[0]! + step) & ~step;
  return Math.max(float[0], 2 ** -24);
}
