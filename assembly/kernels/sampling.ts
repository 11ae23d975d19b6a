export function argmax(
  out: usize, logits: usize, R: i32, V: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function sample(
  out: usize, logits: usize, settings: usize, rng: usize, scratch: usize, R: i32, V: i32, stream: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

