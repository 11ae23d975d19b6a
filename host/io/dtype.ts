/** The JavaScript array type of each safetensors dtype. Types that JavaScript lacks are stored as raw bits. */
export interface DtypeArrays {
  BOOL: Uint8Array;
  /** Two elements per byte. */
  F4: Uint8Array;
  /** Four elements in three bytes. */
  F6_E2M3: Uint8Array;
  F6_E3M2: Uint8Array;
  U8: Uint8Array;
  I8: Int8Array;
  F8_E5M2: Uint8Array;
  F8_E4M3: Uint8Array;
  F8_E8M0: Uint8Array;
  F8_E4M3FNUZ: Uint8Array;
  F8_E5M2FNUZ: Uint8Array;
  I16: Int16Array;
  U16: Uint16Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I32: Int32Array;
  U32: Uint32Array;
  F32: Float32Array;
  /** A complex number: the bits of its real part, then of its imaginary part, as one little-endian integer. */
  C64: BigUint64Array;
  F64: Float64Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
}

/** The dtypes of safetensors. */
export type Dtype = keyof DtypeArrays;

/** The array constructor of each dtype, ordered by increasing alignment: the sort order of the reference implementation. */
export const arrayTypes = {
  BOOL: Uint8Array,
  F4: Uint8Array,
  F6_E2M3: Uint8Array,
  F6_E3M2: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  F8_E5M2: Uint8Array,
  F8_E4M3: Uint8Array,
  F8_E8M0: Uint8Array,
  F8_E4M3FNUZ: Uint8Array,
  F8_E5M2FNUZ: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  C64: BigUint64Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const;

export const dtypes = Object.keys(arrayTypes) as readonly Dtype[];

/** Bits per element of the dtypes whose elements are smaller than a byte. They are packed; a tensor fills whole bytes. */
const PACKED: Partial<Record<Dtype, number>> = { F4: 4, F6_E2M3: 6, F6_E3M2: 6 };

/** Bits per element. */
export const bitsOf = (dtype: Dtype): number => PACKED[dtype] ?? 8 * arrayTypes[dtype].BYTES_PER_ELEMENT;

/** A tensor of one dtype: `data` holds the elements in row-major order, F4 and F6 packed. */
export interface StoredTensorOf<D extends Dtype> {
  dtype: D;
  shape: readonly number[];
  data: DtypeArrays[D];
}

/** A tensor as stored in a file; switching on `dtype` narrows `data`. */
export type StoredTensor = { [D in Dtype]: StoredTensorOf<D> }[Dtype];

/** The dtypes that can be converted to f32. */
export type FloatDtype = "F64" | "F32" | "F16" | "BF16";

export const isFloat = (dtype: Dtype): dtype is FloatDtype => ["F64", "F32", "F16", "BF16"].includes(dtype);

/**
 * Converts the elements of a floating-point tensor to f32. F16 and BF16 convert exactly; F64 rounds to nearest.
 * For an F32 tensor, returns its own array, not a copy.
 *
 * @throws TypeError if the dtype is not one of F64, F32, F16, BF16
 *
 * @example
 * toFloat32({ dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0xc000) }); // Float32Array [1, -2]
 */
export function toFloat32(tensor: StoredTensor): Float32Array {
  const { dtype, data } = tensor;
  if (!isFloat(dtype)) throw new TypeError(`toFloat32: expected dtype F64, F32, F16 or BF16, got ${dtype}`);
  if (dtype === "F32") return data as Float32Array;
  const values = new Float32Array(data.length);
  convert(dtype, data as DtypeArrays[FloatDtype], values);
  return values;
}

/** Writes the elements of a floating-point tensor to `out` as f32. */
export function convert(dtype: FloatDtype, data: DtypeArrays[FloatDtype], out: Float32Array): void {
  if (dtype === "F32" || dtype === "F64") return out.set(data);
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  if (dtype === "BF16") for (let i = 0; i < data.length; i++) bits[i] = data[i]! << 16;
  else for (let i = 0; i < data.length; i++) bits[i] = widenHalf(data[i]!);
}

/** Converts the bits of an IEEE 754 binary16 number to those of an f32. */
function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13); // infinity, NaN
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 − 15, the biases
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // moves the leading one of a subnormal to bit 10
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
