/** How each dtype of safetensors is held in JavaScript. Where JavaScript has no such number, the bits are held. */
export interface DtypeArrays {
  BOOL: Uint8Array;
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
  F64: Float64Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
}

/** The dtypes of safetensors. */
export type Dtype = keyof DtypeArrays;

/** The array type of each dtype, in increasing alignment: the order that the reference implementation writes by. */
export const arrayTypes = {
  BOOL: Uint8Array,
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
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const;

export const dtypes = Object.keys(arrayTypes) as readonly Dtype[];

/** A tensor of one dtype: `data` holds the elements in row-major order. */
export interface StoredTensorOf<D extends Dtype> {
  dtype: D;
  shape: readonly number[];
  data: DtypeArrays[D];
}

/** A tensor as a file holds it; switching on `dtype` narrows `data`. */
export type StoredTensor = { [D in Dtype]: StoredTensorOf<D> }[Dtype];

/** The dtypes that convert to f32. */
export type FloatDtype = "F64" | "F32" | "F16" | "BF16";

export const isFloat = (dtype: Dtype): dtype is FloatDtype => ["F64", "F32", "F16", "BF16"].includes(dtype);

/**
 * The elements of a floating-point tensor as f32. F16 and BF16 are exact, F64 is rounded to nearest.
 * An F32 tensor's own array is returned, not a copy.
 *
 * @throws TypeError when the dtype is not one of F64, F32, F16, BF16.
 *
 * @example
 * toFloat32({ dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0xc000) }); // Float32Array [1, -2]
 */
export function toFloat32(tensor: StoredTensor): Float32Array {
  const { dtype, data } = tensor;
  if (!isFloat(dtype)) throw new TypeError(`toFloat32: expected a dtype of F64, F32, F16, BF16, got ${dtype}`);
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

/** The bits of the f32 that equals the IEEE 754 binary16 of these bits. */
function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13); // infinity, NaN
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 − 15, the biases
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // brings the leading one of a subnormal to bit 10
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
