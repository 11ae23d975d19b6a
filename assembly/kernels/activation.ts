export function activationForward(
  out: usize, x: usize, n: i32, activation: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function activationBackward(
  dX: usize, dOut: usize, x: usize, n: i32, activation: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

