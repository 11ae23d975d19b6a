export function embeddingForward(
  out: usize, ids: usize, weight: usize, N: i32, C: i32, scale: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function embeddingBackward(
  dWeight: usize, dOut: usize, ids: usize, N: i32, C: i32, scale: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function positionsForward(
  out: usize, x: usize, table: usize, B: i32, T: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function positionsBackward(
  dTable: usize, dOut: usize, B: i32, T: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function sinusoidalPositions(
  out: usize, T: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

