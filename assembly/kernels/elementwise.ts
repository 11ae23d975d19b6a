export function add(
  out: usize, a: usize, b: usize, n: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function scale(
  out: usize, x: usize, n: i32, factor: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function copy(
  out: usize, x: usize, n: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function fill(
  out: usize, n: i32, value: f32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function transpose(
  out: usize, x: usize, R: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function gatherRows(
  out: usize, x: usize, index: usize, B: i32, T: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function columnSum(
  out: usize, x: usize, R: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

