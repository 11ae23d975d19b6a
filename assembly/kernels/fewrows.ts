/**
 * Products of a few rows by a matrix: decoding's shape. B is read once, as it lies, and its speed is the memory's.
 *
 * Operands as `multiplyPanels` has them, but B plain: rows `ldb` apart.
 */
import { loadTail, madd, storeTail } from "../simd";

/** Columns of out that stay in L1 while four rows of B pass by. */
const CHUNK: i32 = 1024;

/** c[i, j] = start[i, j] + Σ_k a[i, k]·b[k, j], in the order of k: four rows of B are added to a row of c at a time. */
export function fewRowsNN(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32,
): void {
  for (let j = 0; j < N; j += CHUNK) {
    const n = min(CHUNK, N - j);
    const cChunk = c + (<usize>j << 2);
    for (let i = 0; i < M; i++) {
      const row = cChunk + (<usize>(i * ldc) << 2);
      if (!start) memory.fill(row, 0, <usize>n << 2);
      else if (start != c) memory.copy(row, start + (<usize>(i * ldStart + j) << 2), <usize>n << 2);
    }
    let k = 0;
    for (; k + 4 <= K; k += 4) {
      const bRows = b + (<usize>(k * ldb + j) << 2);
      for (let i = 0; i < M; i++) {
        addFourRows(cChunk + (<usize>(i * ldc) << 2), a + (<usize>(i * aRow + k * aStep) << 2), aStep, bRows, ldb, n);
      }
    }
    for (; k < K; k++) {
      const bRow = b + (<usize>(k * ldb + j) << 2);
      for (let i = 0; i < M; i++) {
        addRow(cChunk + (<usize>(i * ldc) << 2), load<f32>(a + (<usize>(i * aRow + k * aStep) << 2)), bRow, n);
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
  const end = c + (<usize>n << 2);
  const vectorEnd = c + (<usize>(n & -4) << 2);
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
  const end = c + (<usize>n << 2);
  const vectorEnd = c + (<usize>(n & -4) << 2);
  while (c < vectorEnd) {
    v128.store(c, madd(va, v128.load(b), v128.load(c)));
    b += 16, c += 16;
  }
  while (c < end) {
    v128.store32_lane(c, madd(va, v128.load32_zero(b), v128.load32_zero(c)), 0);
    b += 4, c += 4;
  }
}

/** c[i, j] = start[i, j] + Σ_k a[i, k]·b[j, k], as four partial sums of every fourth k: four rows of B meet each row of a. */
export function fewRowsNT(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32,
): void {
  const last = N - 1;
  for (let j = 0; j < N; j += 4) {
    const b0 = b + (<usize>(j * ldb) << 2);
    const b1 = b + (<usize>(min(j + 1, last) * ldb) << 2);
    const b2 = b + (<usize>(min(j + 2, last) * ldb) << 2);
    const b3 = b + (<usize>(min(j + 3, last) * ldb) << 2);
    for (let i = 0; i < M; i++) {
      const dots = dotFourRows(a + (<usize>(i * aRow) << 2), b0, b1, b2, b3, K);
      const cRow = c + (<usize>(i * ldc + j) << 2);
      const startRow = start ? start + (<usize>(i * ldStart + j) << 2) : 0;
      if (j + 4 <= N) v128.store(cRow, start ? f32x4.add(v128.load(startRow), dots) : dots);
      else storeTail(cRow, start ? f32x4.add(loadTail(startRow, N - j), dots) : dots, N - j);
    }
  }
}

// [Σ a·b0, Σ a·b1, Σ a·b2, Σ a·b3]
// @ts-ignore: decorator
@inline
function dotFourRows(a: usize, b0: usize, b1: usize, b2: usize, b3: usize, K: i32): v128 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const end = a + (<usize>K << 2);
  const vectorEnd = a + (<usize>(K & -4) << 2);
  while (a < vectorEnd) {
    const va = v128.load(a);
    s0 = madd(va, v128.load(b0), s0);
    s1 = madd(va, v128.load(b1), s1);
    s2 = madd(va, v128.load(b2), s2);
    s3 = madd(va, v128.load(b3), s3);
    a += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16;
  }
  while (a < end) {
    const va = v128.load32_zero(a);
    s0 = madd(va, v128.load32_zero(b0), s0);
    s1 = madd(va, v128.load32_zero(b1), s1);
    s2 = madd(va, v128.load32_zero(b2), s2);
    s3 = madd(va, v128.load32_zero(b3), s3);
    a += 4, b0 += 4, b1 += 4, b2 += 4, b3 += 4;
  }
  // Transpose and add.
  const low01 = v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(s0, s1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(s2, s3, 2, 6, 3, 7);
  const sum01 = f32x4.add(low01, high01), sum23 = f32x4.add(low23, high23); // [s0 s1 s0 s1], [s2 s3 s2 s3] in halves
  return f32x4.add(v128.shuffle<f32>(sum01, sum23, 0, 1, 4, 5), v128.shuffle<f32>(sum01, sum23, 2, 3, 6, 7));
}
