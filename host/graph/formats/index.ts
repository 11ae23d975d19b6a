import { bf16 } from "./bf16";
import { int4, int8, int8row } from "./integers";
import { panels } from "./panels";
import { f32, f64, i32 } from "./plain";

/** Every format by name. To add one, write its file and list it here. */
export const formats = { f32, i32, f64, bf16, panels, int8, int8row, int4 } as const;

/** How an array is stored in memory: plain elements, or a weight format. */
export type DType = keyof typeof formats;

/** How a weight is stored: the formats that products and embedding lookups read. */
export type WeightFormat = Exclude<DType, "i32" | "f64">;
export const weightFormats = (Object.keys(formats) as DType[]).filter((name): name is WeightFormat => formats[name].code !== undefined);

/** The typed array that the host reads an array into. */
export type ArrayOf<D extends DType> = ReturnType<(typeof formats)[D]["read"]>;

/** @throws TypeError unless `dtype` names a format */
export function expectFormat(what: string, dtype: DType): void {
  if (Object.hasOwn(formats, dtype)) return;
  throw new TypeError(`${what}: expected one of the dtypes ${Object.keys(formats).join(", ")}, got ${JSON.stringify(dtype)}`);
}

/** @throws TypeError if a value is not a number, or, for i32, not a 32-bit integer */
export function expectNumbers(what: string, dtype: DType, values: ArrayLike<number>): void {
  if (dtype === "i32" ? values instanceof Int32Array : ArrayBuffer.isView(values)) return;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (typeof value !== "number") throw new TypeError(`${what}: expected numbers, got ${String(value)} at position ${i}`);
    if (dtype === "i32" && value !== (value | 0)) throw new TypeError(`${what}: expected 32-bit integers, got ${value} at position ${i}`);
  }
}
