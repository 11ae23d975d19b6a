export function matmulNN(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, batch: i32, M: i32, N: i32, K: i32, ldo: i32, lda: i32, ldb: i32, strideOut: i32, strideA: i32, strideB: i32, activation: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function matmulNT(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, batch: i32, M: i32, N: i32, K: i32, ldo: i32, lda: i32, ldb: i32, strideOut: i32, strideA: i32, strideB: i32, activation: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function matmulTN(
  out: usize, a: usize, b: usize, bias: usize, scratch: usize, batch: i32, M: i32, N: i32, K: i32, ldo: i32, lda: i32, ldb: i32, strideOut: i32, strideA: i32, strideB: i32, activation: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

