export function crossEntropy(
  loss: usize, dLogits: usize, logits: usize, targets: usize, R: i32, V: i32, smoothing: f32, ignored: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function lossSum(
  cells: usize, loss: usize, targets: usize, R: i32, ignored: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

