/**
 * Products of a few rows by a matrix: decoding's shape. B is read once, as it lies, and its speed is the memory's.
 *
 * Operands as `multiplyPanels` has them, but B plain: rows `ldb` apart.
 */
import { madd } from "../simd";
import { element } from "./element";

/** Columns of out that stay in L1 while four rows of B pass by. */
const CHUNK: i32 = 1024;
/** Elements of a matrix that may be in a cache (16 MB): more are read in fewer, longer runs. */
const IN_CACHE: i64 = 1 << 22;

/** c[i, j] = start[i, j] + Σ_k a[i, k]·b[k, j], in the order of k: four rows of B are added to a row of c at a time. */
export function fewRowsNN(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32,
): void {
  for (let j = 0; j < N; j += CHUNK) {
    const n = min(CHUNK, N - j);
    const cChunk = element(c, j);
    for (let i = 0; i < M; i++) {
      const row = element(cChunk, i * ldc);
      if (!start) memory.fill(row, 0, <usize>n << 2);
      else if (start != c) memory.copy(row, element(start, i * ldStart + j), <usize>n << 2);
    }
    let k = 0;
    for (; k + 4 <= K; k += 4) {
      const bRows = element(b, k * ldb + j);
      for (let i = 0; i < M; i++) {
        addFourRows(element(cChunk, i * ldc), element(a, i * aRow + k * aStep), aStep, bRows, ldb, n);
      }
    }
    for (; k < K; k++) {
      const bRow = element(b, k * ldb + j);
      for (let i = 0; i < M; i++) {
        addRow(element(cChunk, i * ldc), load<f32>(element(a, i * aRow + k * aStep)), bRow, n);
      }
    }
  }
}

function addFourRows(c: usize, a: usize, aStep: i32, b: usize, ldb: i32, n: i32): void {
  const step = <usize>aStep << 2;
  const pitch = <usize>ldb << 2;
  const va0 = v128.load32_splat(a), va1 = v128.load32_splat(a + step);
  const va2 = v128.load32_splat(a + 2 * step), va3 = v128.load32_splat(a + 3 * step);
  let b1 = b + pitch, b2 = b1 + pitch, b3 = b2 + pitch;
  const end = element(c, n);
  const vectorEnd = element(c, n & -4);
  while (c < vectorEnd) {
    let vacc = madd(va0, v128.load(b), v128.load(c));
    vacc = madd(va1, v128.load(b1), vacc);
    vacc = madd(va2, v128.load(b2), vacc);
    v128.store(c, madd(va3, v128.load(b3), vacc));
    b += 16, b1 += 16, b2 += 16, b3 += 16, c += 16;
  }
  while (c < end) {
    let vacc = madd(va0, v128.load32_zero(b), v128.load32_zero(c));
    vacc = madd(va1, v128.load32_zero(b1), vacc);
    vacc = madd(va2, v128.load32_zero(b2), vacc);
    v128.store32_lane(c, madd(va3, v128.load32_zero(b3), vacc), 0);
    b += 4, b1 += 4, b2 += 4, b3 += 4, c += 4;
  }
}

function addRow(c: usize, a: f32, b: usize, n: i32): void {
  const va = f32x4.splat(a);
  const end = element(c, n);
  const vectorEnd = element(c, n & -4);
  while (c < vectorEnd) {
    v128.store(c, madd(va, v128.load(b), v128.load(c)));
    b += 16, c += 16;
  }
  while (c < end) {
    v128.store32_lane(c, madd(va, v128.load32_zero(b), v128.load32_zero(c)), 0);
    b += 4, c += 4;
  }
}

/**
 * c[i, j] = start[i, j] + Σ_k a[i, k]·b[j, k], as four partial sums of every fourth k.
 *
 * Eight sums run side by side, to hide the latency of an addition: two rows of a by four of b, or one by eight.
 * Rows of b read together stand N / 4 or N / 8 apart: each runs on through memory, and the processor fetches ahead (neighbours it
 * takes for one another: 20 instead of 35 GB/s). The order of a sum is the same, so that a row's result does not depend on how many
 * there are.
 */
export function fewRowsNT(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32,
): void {
  const columns = <i64>N * K > IN_CACHE ? 4 : 8;
  const apart = N / columns;
  for (let j = 0; j < apart; j++) {
    rowsByColumns(element(c, j), ldc, start ? element(start, j) : 0, ldStart, a, aRow, element(b, j * ldb), ldb, M, columns, apart, K);
  }
  const j = apart * columns;
  if (j < N) rowsByColumns(element(c, j), ldc, start ? element(start, j) : 0, ldStart, a, aRow, element(b, j * ldb), ldb, M, N - j, 1, K);
}

// Up to eight columns of c, `apart` from each other.
function rowsByColumns(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, b: usize, ldb: i32, M: i32, columns: i32, apart: i32, K: i32,
): void {
  const bPitch = <usize>(apart * ldb) << 2;
  const pitch = <usize>apart << 2;
  for (let i = 0; i < M; i += 2) {
    const a0 = element(a, i * aRow), c0 = element(c, i * ldc), start0 = start ? element(start, i * ldStart) : 0;
    const second = i + 1 < M;
    if (!second && columns > 4) {
      dots1x8(c0, start0, pitch, a0, b, bPitch, columns, K);
      continue;
    }
    // A last row without a second is multiplied by four columns twice: that costs no time where b comes from memory.
    const a1 = second ? element(a0, aRow) : a0;
    const c1 = second ? element(c0, ldc) : c0;
    const start1 = second && start ? element(start0, ldStart) : start0;
    dots2x4(c0, c1, start0, start1, pitch, a0, a1, b, bPitch, min(4, columns), K);
    if (columns > 4) {
      dots2x4(
        c0 + 4 * pitch, c1 + 4 * pitch, start ? start0 + 4 * pitch : 0, start ? start1 + 4 * pitch : 0, pitch,
        a0, a1, b + 4 * bPitch, bPitch, columns - 4, K,
      );
    }
  }
}

function dots2x4(
  c0: usize, c1: usize, start0: usize, start1: usize, pitch: usize, a0: usize, a1: usize, b: usize, bPitch: usize, columns: i32, K: i32,
): void {
  const last = <usize>columns - 1;
  let b0 = b, b1 = b + bPitch * min(1, last), b2 = b + bPitch * min(2, last), b3 = b + bPitch * min(3, last);
  let s00 = f32x4.splat(0), s01 = s00, s02 = s00, s03 = s00, s10 = s00, s11 = s00, s12 = s00, s13 = s00;
  const end = element(a0, K);
  const vectorEnd = element(a0, K & -4);
  while (a0 < vectorEnd) {
    const va0 = v128.load(a0), va1 = v128.load(a1);
    let vb = v128.load(b0);
    s00 = madd(va0, vb, s00), s10 = madd(va1, vb, s10);
    vb = v128.load(b1);
    s01 = madd(va0, vb, s01), s11 = madd(va1, vb, s11);
    vb = v128.load(b2);
    s02 = madd(va0, vb, s02), s12 = madd(va1, vb, s12);
    vb = v128.load(b3);
    s03 = madd(va0, vb, s03), s13 = madd(va1, vb, s13);
    a0 += 16, a1 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16;
  }
  while (a0 < end) {
    const va0 = v128.load32_zero(a0), va1 = v128.load32_zero(a1);
    let vb = v128.load32_zero(b0);
    s00 = madd(va0, vb, s00), s10 = madd(va1, vb, s10);
    vb = v128.load32_zero(b1);
    s01 = madd(va0, vb, s01), s11 = madd(va1, vb, s11);
    vb = v128.load32_zero(b2);
    s02 = madd(va0, vb, s02), s12 = madd(va1, vb, s12);
    vb = v128.load32_zero(b3);
    s03 = madd(va0, vb, s03), s13 = madd(va1, vb, s13);
    a0 += 4, a1 += 4, b0 += 4, b1 += 4, b2 += 4, b3 += 4;
  }
  finish(c0, start0, pitch, sums(s00, s01, s02, s03), columns);
  if (c1 != c0) finish(c1, start1, pitch, sums(s10, s11, s12, s13), columns);
}

function dots1x8(c: usize, start: usize, pitch: usize, a: usize, b: usize, bPitch: usize, columns: i32, K: i32): void {
  const last = <usize>columns - 1;
  let b0 = b, b1 = b + bPitch * min(1, last), b2 = b + bPitch * min(2, last), b3 = b + bPitch * min(3, last);
  let b4 = b + bPitch * min(4, last), b5 = b + bPitch * min(5, last), b6 = b + bPitch * min(6, last), b7 = b + bPitch * min(7, last);
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const end = element(a, K);
  const vectorEnd = element(a, K & -4);
  while (a < vectorEnd) {
    const va = v128.load(a);
    s0 = madd(va, v128.load(b0), s0), s1 = madd(va, v128.load(b1), s1);
    s2 = madd(va, v128.load(b2), s2), s3 = madd(va, v128.load(b3), s3);
    s4 = madd(va, v128.load(b4), s4), s5 = madd(va, v128.load(b5), s5);
    s6 = madd(va, v128.load(b6), s6), s7 = madd(va, v128.load(b7), s7);
    a += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16, b4 += 16, b5 += 16, b6 += 16, b7 += 16;
  }
  while (a < end) {
    const va = v128.load32_zero(a);
    s0 = madd(va, v128.load32_zero(b0), s0), s1 = madd(va, v128.load32_zero(b1), s1);
    s2 = madd(va, v128.load32_zero(b2), s2), s3 = madd(va, v128.load32_zero(b3), s3);
    s4 = madd(va, v128.load32_zero(b4), s4), s5 = madd(va, v128.load32_zero(b5), s5);
    s6 = madd(va, v128.load32_zero(b6), s6), s7 = madd(va, v128.load32_zero(b7), s7);
    a += 4, b0 += 4, b1 += 4, b2 += 4, b3 += 4, b4 += 4, b5 += 4, b6 += 4, b7 += 4;
  }
  finish(c, start, pitch, sums(s0, s1, s2, s3), min(4, columns));
  if (columns > 4) finish(c + 4 * pitch, start ? start + 4 * pitch : 0, pitch, sums(s4, s5, s6, s7), columns - 4);
}

// [Σ s0, Σ s1, Σ s2, Σ s3]: transposed and added.
// @ts-ignore: decorator
@inline
function sums(s0: v128, s1: v128, s2: v128, s3: v128): v128 {
  const sum01 = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), v128.shuffle<f32>(s0, s1, 2, 6, 3, 7)); // halves of s0, s1, s0, s1
  const sum23 = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), v128.shuffle<f32>(s2, s3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(sum01, sum23, 0, 1, 4, 5), v128.shuffle<f32>(sum01, sum23, 2, 3, 6, 7));
}

// Stores up to four sums, `pitch` bytes apart.
function finish(c: usize, start: usize, pitch: usize, dots: v128, columns: i32): void {
  store<f32>(c, (start ? load<f32>(start) : 0) + f32x4.extract_lane(dots, 0));
  if (columns > 1) store<f32>(c + pitch, (start ? load<f32>(start + pitch) : 0) + f32x4.extract_lane(dots, 1));
  if (columns > 2) store<f32>(c + 2 * pitch, (start ? load<f32>(start + 2 * pitch) : 0) + f32x4.extract_lane(dots, 2));
  if (columns > 3) store<f32>(c + 3 * pitch, (start ? load<f32>(start + 3 * pitch) : 0) + f32x4.extract_lane(dots, 3));
}
