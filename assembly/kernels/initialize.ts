export function randomNormal(
  out: usize, rng: usize, n: i32, deviation: f32, stream: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function randomUniform(
  out: usize, rng: usize, n: i32, low: f32, high: f32, stream: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

