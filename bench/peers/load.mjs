/** Loads the installed peers and sets their number of threads where possible. */

const loaders = {
  /** The wasm build of onnxruntime-web. */
  async ortWeb({ threads }) {
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = threads;
    return new Ort("onnxruntime-web", ort, { executionProviders: ["wasm"] });
  },
  /** onnxruntime-node: native code, for reference. */
  async ortNode({ threads }) {
    const { default: ort } = await import("onnxruntime-node");
    return new Ort("onnxruntime-node", ort, { executionProviders: ["cpu"], intraOpNumThreads: threads, interOpNumThreads: 1 });
  },
  /** tfjs on its wasm backend. */
  async tfjs({ threads }) {
    const { warn } = console;
    console.warn = () => {}; // suppresses its advice to use the native package
    const [tf, wasm] = await Promise.all([import("@tensorflow/tfjs"), import("@tensorflow/tfjs-backend-wasm")]);
    wasm.setThreadsCount(threads);
    await tf.setBackend("wasm");
    await tf.ready();
    console.warn = warn;
    return tf;
  },
  /** jax-js on its wasm backend, which is single-threaded in Node. */
  async jax() {
    const jax = await import("@jax-js/jax");
    await jax.init("wasm");
    jax.defaultDevice("wasm");
    return jax;
  },
};

/** @returns {Promise<{ ortWeb?: Ort, ortNode?: Ort, tfjs?: object, jax?: object }>} */
export async function loadPeers(settings, names = Object.keys(loaders)) {
  // The first two define a global Worker, from which jax-js concludes that it runs in a browser.
  if (settings.threads === 1) Object.defineProperty(globalThis, "Worker", { get: () => undefined, set() {}, configurable: true });
  else names = names.filter((name) => name !== "jax");
  const peers = {};
  for (const name of names) {
    try {
      peers[name] = await loaders[name](settings);
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
      console.log(`  (${name} is not installed)`);
    }
  }
  return peers;
}

/** Either package of onnxruntime. */
class Ort {
  constructor(name, ort, options) {
    this.name = name;
    this.ort = ort;
    this.options = options;
  }

  /**
   * A contestant that runs a model with one output.
   * @param {Uint8Array} model
   * @param {Record<string, { shape: number[], data: Float32Array }>} inputs
   */
  async contestant(model, inputs, name = this.name) {
    const session = await this.ort.InferenceSession.create(model, this.options);
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, { shape, data }]) => [name, new this.ort.Tensor("float32", data, shape)]));
    const [output] = session.outputNames;
    return { name, run: () => session.run(feeds), result: async () => (await session.run(feeds))[output].data, release: () => session.release() };
  }
}

/** A tfjs contestant: `compute` returns the result as a tensor. */
export function tfjsContestant(tf, compute) {
  return { name: "tfjs-wasm", run: () => compute().dispose(), result: () => tf.tidy(() => compute().dataSync()) };
}

/** A jax-js contestant: `compute` is jitted and borrows `inputs`. */
export function jaxContestant(jax, compute, inputs) {
  const jitted = jax.jit(compute);
  const call = () => jitted(...inputs.map((x) => x.ref));
  return {
    name: "jax-js",
    run: async () => {
      const out = await jax.blockUntilReady(call());
      out.dispose();
    },
    result: () => call().data(),
    release: () => inputs.forEach((x) => x.dispose()),
  };
}
