/** llama.cpp as native code, through node-llama-cpp's prebuilt binaries: the same steps and prompts as heed's (bench/llama/heed.mjs). */
import { centred } from "../llama/model.mjs";

/**
 * @param {number} threads
 * @returns {Promise<LlamaCpp | null>} null if it is not installed, or has no binary for this machine
 */
export async function loadLlamaCpp(threads) {
  try {
    const { getLlama } = await import("node-llama-cpp");
    return new LlamaCpp(await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: threads, progressLogs: false, logLevel: "error" }), threads);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND" && error.name !== "NoBinaryFoundError") throw error;
    console.log(`  (node-llama-cpp is not installed${error.code ? "" : ": it has no binary for this machine"})`);
    return null;
  }
}

class LlamaCpp {
  name = "node-llama-cpp";

  constructor(llama, threads) {
    this.llama = llama;
    this.threads = threads;
  }

  /** Loads a GGUF file. @returns {Promise<LoadedModel>} */
  async load(modelPath, block) {
    const model = await this.llama.loadModel({ modelPath, gpuLayers: 0 });
    const context = await model.createContext({ contextSize: block, threads: this.threads, sequences: 1, batchSize: 512, flashAttention: true });
    return new LoadedModel(this.name, model, context.getSequence());
  }

  dispose() {
    return this.llama.dispose();
  }
}

const greedy = { token: true, options: { temperature: 0 } };

class LoadedModel {
  constructor(name, model, sequence) {
    this.name = name;
    this.model = model;
    this.sequence = sequence;
  }

  /** A contestant that generates a token for `tokens`, whose last is read by the step; the others stay in the cache. */
  async steps(tokens, count) {
    const { sequence } = this;
    const last = tokens.length - 1;
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, last));
    let next = tokens[last];
    const rewind = async () => {
      await this.keepFirst(last);
      next = tokens[last];
    };
    return {
      name: this.name,
      async run() {
        if (sequence.nextTokenIndex >= last + count) await rewind();
        [{ next: { token: next } }] = await sequence.controlledEvaluate([[next, { generateNext: greedy }]]);
      },
      result: async () => {
        await rewind();
        return this.logits([next]);
      },
    };
  }

  /** A contestant that reads a whole prompt and generates the first token. */
  firstToken(tokens) {
    const { sequence } = this;
    const input = [...tokens.slice(0, -1), [tokens.at(-1), { generateNext: greedy }]];
    return {
      name: this.name,
      async run() {
        await sequence.clearHistory();
        await sequence.controlledEvaluate(input);
      },
      result: async () => {
        await sequence.clearHistory();
        return this.logits(tokens);
      },
    };
  }

  async logits(tokens) {
    const results = await this.sequence.controlledEvaluate([...tokens.slice(0, -1), [tokens.at(-1), { generateNext: { logits: true } }]]);
    const { logits } = results.at(-1).next;
    return centred(Float32Array.from({ length: logits.size }, (_, id) => logits.get(id)));
  }

  async keepFirst(count) {
    const { sequence } = this;
    if (sequence.nextTokenIndex > count) await sequence.eraseContextTokenRanges([{ start: count, end: sequence.nextTokenIndex }]);
  }

  dispose() {
    return this.model.dispose();
  }
}
