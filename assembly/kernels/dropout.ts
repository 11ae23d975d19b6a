export function dropout(
  out: usize, x: usize, residual: usize, rng: usize, n: i32, p: f32, stream: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

