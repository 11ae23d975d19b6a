export function attentionForward(
  out: usize, lse: usize, q: usize, k: usize, v: usize, lengths: usize, rng: usize, scratch: usize, B: i32, H: i32, Tq: i32, Tk: i32, D: i32, ldo: i32, ldq: i32, ldk: i32, ldv: i32, scale: f32, dropout: f32, stream: i32, causal: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

export function attentionBackward(
  dQ: usize, dK: usize, dV: usize, dOut: usize, out: usize, lse: usize, q: usize, k: usize, v: usize, lengths: usize, rng: usize, scratch: usize, B: i32, H: i32, Tq: i32, Tk: i32, D: i32, ldo: i32, ldq: i32, ldk: i32, ldv: i32, scale: f32, dropout: f32, stream: i32, causal: i32,
  thread: i32, threads: i32,
): void {
  unreachable();
}

