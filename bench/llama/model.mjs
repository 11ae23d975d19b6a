/** The Llama-like model of the suite `decode`: its shape, its formats and what a step costs at least. Also loaded by the browser's page. */
import { Llama } from "../../dist/index.js";
import { random } from "../random.mjs";

/** 135 million parameters if the output projection were not the embedding. */
export const config = { vocabulary: 32_000, block: 2048, layers: 12, heads: 12, width: 768, hidden: 2048, tied: true };

/**
 * heed's formats and those of llama.cpp with as many bits per weight. `tolerance` is the largest difference between the logits, relative to the
 * largest: in int8 and int4 the libraries round differently, weights as well as activations.
 */
const all = [
  { title: "f32", format: "panels", arithmetic: "flops", gguf: "f32", tolerance: 1e-2 },
  { title: "int8", format: "int8", arithmetic: "int8", gguf: "q8_0", tolerance: 0.1 },
  { title: "int4", format: "int4", arithmetic: "int4", gguf: "q4_0", tolerance: 1 },
];

/** The formats that this build of heed has. */
export function formats(runtime) {
  return all.filter(({ format }) => {
    const model = new Llama({ ...config, vocabulary: 32, block: 32, layers: 1, heads: 1, width: 32, hidden: 32 });
    try {
      model.place(runtime, { format }).dispose();
      return true;
    } catch (error) {
      if (error instanceof TypeError) return false;
      throw error;
    }
  });
}

/** The model with seeded weights: in every format and every runtime, they are rounded from the same f32. */
export const place = (runtime, format) => new Llama(config).place(runtime, { seed: 1, format });

/** `length` seeded ids, all of them tokens with a text of their own in the GGUF file. */
export function prompt(length) {
  const first = 259; // FIRST_TOKEN in gguf.mjs
  return Array.from(random(length), (x) => first + Math.floor(((x + 1) / 2) * (config.vocabulary - first)));
}

/** Weights of the matrices; each of them is used once per token. */
const { layers, width, hidden, vocabulary } = config;
const inLayers = layers * (4 * width * width + 3 * width * hidden);

/** What a step must compute and read, as `limit` of Harness.compare: products, and weights, keys and values. */
export const stepLimit = ({ arithmetic }, weightBytes, past) => ({
  [arithmetic]: 2 * (inLayers + vocabulary * width),
  bytes: weightBytes + 2 * 4 * layers * width * past,
});

/** FLOPs of the products with weights in a prompt; only its last token needs the output projection. */
export const promptFlops = (length) => 2 * (inLayers * length + vocabulary * width);

/** Logits without their mean, which says nothing about the next token. */
export function centred(logits) {
  const mean = logits.reduce((sum, x) => sum + x, 0) / logits.length;
  return logits.map((x) => x - mean);
}
