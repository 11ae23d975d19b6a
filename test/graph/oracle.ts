/** The ops in plain f64 loops: slow, obvious, and independent of the kernels. */
export type Array64 = ArrayLike<number>;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** x [M, K] · w [N, K]ᵀ + b */
export const linear = (x: Array64, w: Array64, b: Array64 | null, M: number, N: number, K: number): number[] =>
  range(M * N).map((i) => sum(range(K).map((k) => x[Math.floor(i / N) * K + k]! * w[(i % N) * K + k]!)) + (b ? b[i % N]! : 0));

/** a [M, K] · b [K, N] */
export const matmul = (a: Array64, b: Array64, M: number, N: number, K: number): number[] =>
  range(M * N).map((i) => sum(range(K).map((k) => a[Math.floor(i / N) * K + k]! * b[k * N + (i % N)]!)));

export const softmax = (x: Array64, R: number, C: number): number[] =>
  range(R).flatMap((r) => {
    const row = range(C).map((c) => x[r * C + c]!);
    const maximum = Math.max(...row);
    const exps = row.map((value) => Math.exp(value - maximum));
    const total = sum(exps);
    return exps.map((value) => value / total);
  });

export const layerNorm = (x: Array64, w: Array64, b: Array64 | null, R: number, C: number, epsilon = 1e-5): number[] =>
  range(R).flatMap((r) => {
    const row = range(C).map((c) => x[r * C + c]!);
    const mean = sum(row) / C;
    const rstd = 1 / Math.sqrt(sum(row.map((value) => (value - mean) ** 2)) / C + epsilon);
    return row.map((value, c) => (value - mean) * rstd * w[c]! + (b ? b[c]! : 0));
  });

export const rmsNorm = (x: Array64, w: Array64, R: number, C: number, epsilon = 1e-5): number[] =>
  range(R).flatMap((r) => {
    const row = range(C).map((c) => x[r * C + c]!);
    const rstd = 1 / Math.sqrt(sum(row.map((value) => value ** 2)) / C + epsilon);
    return row.map((value, c) => value * rstd * w[c]!);
  });

export interface RotaryShape {
  B: number;
  T: number;
  C: number;
  H: number;
  D: number;
  rotated: number;
  past?: number[];
}

/** Rotates the pairs (d, d + rotated/2) of the first H heads of x [B, T, C] by the angles of a table [L, rotated]: cosines, then sines. */
export function rotary(x: Array64, table: Array64, { B, T, C, H, D, rotated, past = [] }: RotaryShape): number[] {
  const out = Array.from(x);
  const half = rotated / 2;
  for (const b of range(B))
    for (const t of range(T))
      for (const h of range(H))
        for (const d of range(half)) {
          const at = ((past[b] ?? 0) + t) * rotated + d;
          const [cos, sin] = [table[at]!, table[at + half]!];
          const first = (b * T + t) * C + h * D + d;
          out[first] = x[first]! * cos - x[first + half]! * sin;
          out[first + half] = x[first]! * sin + x[first + half]! * cos;
        }
  return out;
}

/** Abramowitz & Stegun 7.1.5 and 7.1.14 in f64: a series for small arguments, a continued fraction for large ones. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let total = a;
    for (let n = 1; n < 60; n++) {
      term *= (-a * a) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

export const activations = {
  relu: (x: number) => Math.max(x, 0),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x: number) => x / (1 + Math.exp(-x)),
};

export interface AttentionShape {
  B: number;
  H: number;
  /** Number of key-value heads; H by default. */
  Hkv?: number;
  Tq: number;
  Tk: number;
  D: number;
  scale?: number;
  causal?: boolean;
  window?: { left?: number; right?: number };
  past?: number[];
  lengths?: number[];
  /** [B or 1, H or 1, Tq, Tk] */
  bias?: { values: Array64; shape: readonly number[] };
}

/** q [B, Tq, H·D], k and v [B, Tk, Hkv·D] → [B, Tq, H·D]; zeros for a query that attends to no key. */
export function attention(q: Array64, k: Array64, v: Array64, shape: AttentionShape): number[] {
  const { B, H, Hkv = H, Tq, Tk, D, scale = 1 / Math.sqrt(D), causal = false, window = {}, past, lengths, bias } = shape;
  const { left = Infinity, right = causal ? 0 : Infinity } = window;
  const out = new Array<number>(B * Tq * H * D).fill(0);
  for (const b of range(B))
    for (const h of range(H))
      for (const i of range(Tq)) {
        const position = (past?.[b] ?? Tk - Tq) + i;
        const keys = range(Tk).filter((j) => position - left <= j && j <= position + right && j < (lengths?.[b] ?? Tk));
        if (keys.length === 0) continue;
        const query = (d: number): number => ((b * Tq + i) * H + h) * D + d;
        const key = (j: number, d: number): number => ((b * Tk + j) * Hkv + Math.floor((h * Hkv) / H)) * D + d;
        const biasOf = (j: number): number => {
          if (!bias) return 0;
          const [b1 = 1, h1 = 1] = bias.shape;
          return bias.values[(((b1 === 1 ? 0 : b) * h1 + (h1 === 1 ? 0 : h)) * Tq + i) * Tk + j]!;
        };
        const scores = keys.map((j) => scale * sum(range(D).map((d) => q[query(d)]! * k[key(j, d)]!)) + biasOf(j));
        const weights = softmax(scores, 1, keys.length);
        for (const d of range(D)) out[query(d)] = sum(keys.map((j, n) => weights[n]! * v[key(j, d)]!));
      }
  return out;
}

/** Σ of −Σ q·log p over the rows that count, with logits x [R, C] · w [V, C]ᵀ. */
export function crossEntropy(x: Array64, w: Array64, targets: ArrayLike<number>, V: number, C: number, smoothing: number, ignored: number): number {
  const R = targets.length;
  const p = softmax(linear(x, w, null, R, V, C), R, V);
  return sum(
    range(R).map((r) => {
      const target = targets[r]!;
      if (target === ignored) return 0;
      return -sum(range(V).map((v) => ((v === target ? 1 - smoothing : 0) + smoothing / V) * Math.log(p[r * V + v]!)));
    }),
  );
}

/** Central differences of f at every element of each input. */
export function differentiate(f: (inputs: Float64Array[]) => number, inputs: Float64Array[], h = 1e-5): Float64Array[] {
  return inputs.map((input) =>
    input.map((value, i) => {
      input[i] = value + h;
      const above = f(inputs);
      input[i] = value - h;
      const below = f(inputs);
      input[i] = value;
      return (above - below) / (2 * h);
    }),
  );
}
