export function layerNormForward(
  out: usize, mean: usize, rstd: usize, x: usize, weight: usize, bias: usize, R: i32, C: i32, epsilon: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function layerNormBackward(
  dX: usize, dOut: usize, x: usize, mean: usize, rstd: usize, weight: usize, R: i32, C: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function layerNormBackwardParameters(
  dWeight: usize, dBias: usize, dOut: usize, x: usize, mean: usize, rstd: usize, R: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

