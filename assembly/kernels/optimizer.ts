export function squareSum(
  partials: usize, x: usize, n: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function clipGradient(
  cells: usize, partials: usize, count: i32, maxNorm: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function adamwStep(
  weight: usize, gradient: usize, m: usize, v: usize, cells: usize, n: i32, beta1: f32, beta2: f32, epsilon: f32, decay: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function sgdStep(
  weight: usize, gradient: usize, velocity: usize, cells: usize, n: i32, momentum: f32, decay: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

