/** A weight as integers and scales, and as the formats int8 and int4 store it. */
export interface Quantized {
  /** [rows, columns] */
  integers: Int8Array;
  /** [rows, groups] */
  scales: Float32Array;
  /** The bytes in memory. */
  bytes: Uint8Array;
}

/** Stores integers by the definition in assembly/formats/integers.ts. */
export function toBlocks(bits: number, integers: Int8Array, scales: Float32Array, rows: number, columns: number, group: number): Uint8Array {
  const groups = Math.ceil(columns / group);
  const header = bits === 8 ? 64 : 32;
  const step = header + bits * group;
  const bytes = new Uint8Array(Math.ceil(rows / 8) * groups * step);
  const view = new DataView(bytes.buffer);
  for (let r = 0; r < Math.ceil(rows / 8) * 8; r++) {
    for (let g = 0; g < groups; g++) {
      const block = (Math.floor(r / 8) * groups + g) * step;
      let sum = 0;
      for (let k = 0; k < group; k++) {
        const c = g * group + k;
        const q = r < rows && c < columns ? integers[r * columns + c]! : 0;
        sum += q;
        if (bits === 8) view.setInt8(block + header + (Math.floor(k / 4) * 8 + (r % 8)) * 4 + (k % 4), q);
        else bytes[block + header + (Math.floor(k / 4) * 4 + (r % 4)) * 4 + [0, 2, 1, 3][k % 4]!]! |= (q + 8) << (r % 8 < 4 ? 0 : 4);
      }
      view.setFloat32(block + 4 * (r % 8), r < rows ? scales[r * groups + g]! : 0, true);
      if (bits === 8) view.setInt32(block + 32 + 4 * (r % 8), -64 * sum, true);
    }
  }
  return bytes;
}
