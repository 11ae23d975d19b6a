/**
 * Packing for tiles of integers: unpacks blocks of a weight to panels of a header and integers, [groups, { 64 bytes, [K, 8] }].
 *
 * In the relaxed build, int4 becomes bytes, in the order of int8; int8 is read in place. In the plain build, both become integers of 16
 * bits, two of a row side by side.
 */
import { IntegerBlock } from "../layouts";
import { nibbleMask } from "./integers";

/**
 * @param to      the panel
 * @param b       `groups` blocks of an int4 weight
 */
export function packInt4(to: usize, b: usize, groups: i32): void {
  const mask = nibbleMask();
  for (; groups > 0; groups--) {
    v128.store(to, v128.load(b)), v128.store(to, v128.load(b, 16), 16);
    to += IntegerBlock.Int8;
    b += IntegerBlock.Int4;
    for (const end = b + 4 * IntegerBlock.Group; b < end; b += 16) {
      const x = v128.load(b);
      if (ASC_FEATURE_RELAXED_SIMD) {
        v128.store(to, v128.and(x, mask));
        v128.store(to, v128.and(i16x8.shr_u(x, 4), mask), 16);
        to += 32;
      } else {
        const eight = i16x8.splat(8);
        v128.store(to, i16x8.sub(v128.and(x, mask), eight));
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(x, 4), mask), eight), 16);
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(x, 8), mask), eight), 32);
        v128.store(to, i16x8.sub(i16x8.shr_u(x, 12), eight), 48);
        to += 64;
      }
    }
  }
}

/**
 * In the plain build only.
 * @param to      the panel
 * @param b       `groups` blocks of an int8 weight
 */
export function packInt8(to: usize, b: usize, groups: i32, group: i32): void {
  for (; groups > 0; groups--) {
    v128.store(to, v128.load(b)), v128.store(to, v128.load(b, 16), 16);
    to += IntegerBlock.Int8;
    b += IntegerBlock.Int8;
    for (const end = b + (<usize>group << 3); b < end; b += 32, to += 64) {
      const rows01 = v128.load_ext<i8>(b), rows23 = v128.load_ext<i8>(b, 8);
      const rows45 = v128.load_ext<i8>(b, 16), rows67 = v128.load_ext<i8>(b, 24);
      v128.store(to, v128.shuffle<i32>(rows01, rows23, 0, 2, 4, 6));
      v128.store(to, v128.shuffle<i32>(rows45, rows67, 0, 2, 4, 6), 16);
      v128.store(to, v128.shuffle<i32>(rows01, rows23, 1, 3, 5, 7), 32);
      v128.store(to, v128.shuffle<i32>(rows45, rows67, 1, 3, 5, 7), 48);
    }
  }
}
