/**
 * c = start + A·B for a few rows of A. B is read once, in place, so memory bandwidth limits the speed.
 *
 * Operands as in `multiplyPanels`, except that B is not packed: its rows are `ldb` apart.
 */
import { madd } from "../simd";
import { element } from "./element";
import { addScaledRow } from "./rows";
import { KC, LONG } from "./tile";

/** The number of columns of c that stay in L1 while rows of B are streamed, four at a time. */
const CHUNK: i32 = 1024;

/**
 * c[i, j] = start[i, j] + Σ_k a[i, k]·b[k, j], summed in the same order as in `tile.ts`. Four rows of B are added to a row of c at a time.
 * @param scratch  f32 [M, 1024], aligned to 16
 */
export function fewRowsNN(
  c: usize, ldc: i32, start: usize, ldStart: i32, a: usize, aRow: i32, aStep: i32, b: usize, ldb: i32,
  M: i32, N: i32, K: i32, scratch: usize,
): void {
  for (let j = 0; j < N; j += CHUNK) {
    const n = min(CHUNK, N - j);
    const cChunk = element(c, j);
    for (let i = 0; i < M; i++) {
      const row = element(cChunk, i * ldc);
      if (!start) memory.fill(row, 0, <usize>n << 2);
      else if (start != c) memory.copy(row, element(start, i * ldStart + j), <usize>n << 2);
    }
    if (K <= LONG) {
      addProducts(cChunk, ldc, a, aRow, aStep, element(b, j), ldb, M, n, K);
      continue;
    }
    for (let k = 0; k < K; k += KC) {
      memory.fill(scratch, 0, <usize>(M * CHUNK) << 2);
      addProducts(scratch, CHUNK, element(a, k * aStep), aRow, aStep, element(b, k * ldb + j), ldb, M, n, min(KC, K - k));
      for (let i = 0; i < M; i++) addScaledRow(element(cChunk, i * ldc), 1, element(scratch, i * CHUNK), n);
    }
  }
}

// c[i, j] += Σ_k a[i, k]·b[k, j], in the order of k.
function addProducts(c: usize, ldc: i32, a: usize, aRow: i32, aStep: i32, b: usize, ldb: i32, M: i32, N: i32, K: i32): void {
  let k = 0;
  for (; k + 4 <= K; k += 4) {
    const bRows = element(b, k * ldb);
    for (let i = 0; i < M; i++) addFourRows(element(c, i * ldc), element(a, i * aRow + k * aStep), aStep, bRows, ldb, N);
  }
  for (; k < K; k++) {
    const bRow = element(b, k * ldb);
    for (let i = 0; i < M; i++) addScaledRow(element(c, i * ldc), load<f32>(element(a, i * aRow + k * aStep)), bRow, N);
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
