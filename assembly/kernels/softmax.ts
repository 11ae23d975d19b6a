export function softmaxForward(
  out: usize, x: usize, R: i32, C: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function softmaxBackward(
  dX: usize, dOut: usize, out: usize, R: i32, C: i32, accumulate: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

