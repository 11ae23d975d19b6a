import { Op } from "../../assembly/opcodes";
import { type Compiled, ProgramCache } from "../graph/cache";
import type { Graph } from "../graph/graph";
import { KeyValues, PAGE_TOKENS } from "../graph/ops/keyvalues";
import { extendBeams, type Extensions, sampleInto, type SamplingContext } from "../graph/ops/sampling";
import { State, type Tensor } from "../graph/tensor";
import { type DecoderModel, hasSource } from "../models/decoding";
import type { PagePool } from "./pages";
import { Slots } from "./slots";

/** Maximum number of programs that a session keeps. */
const PROGRAMS = 32;

const pagesOf = (tokens: number): number => Math.ceil(tokens / PAGE_TOKENS);

/** What a program needs to read tokens of one row. */
export type PromptInputs = Record<"tokens" | "counts" | "past" | "pages" | "sourceLengths" | "sourcePages", Tensor<"i32">>;

/** What a step leaves to read. */
export interface StepTensors {
  readonly logits: Tensor;
  /** f32 [rows]: minus the log-probability of the chosen token. */
  readonly losses?: Tensor;
  readonly best?: Extensions;
}

/**
 * A session's programs: steps of 1, 2, 4, … rows that choose tokens or extend beams, prompts of one row in a few lengths, and batches of
 * sources. They are compiled on first use, and the least recently used are disposed.
 */
export class DecodingPrograms {
  readonly slots: Slots;
  /** Maximum number of pages of a row, and of a source. */
  readonly rowPages: number;
  readonly sourceRowPages: number;
  private readonly programs: ProgramCache;
  /** How many alternatives a step reports; undefined if it does not report log-probabilities at all. */
  private readonly alternatives: number | undefined;

  constructor(
    private readonly model: DecoderModel,
    private readonly pool: PagePool,
    rows: number,
    alternatives: number | undefined,
  ) {
    const { runtime } = model.weights;
    this.alternatives = alternatives === undefined ? undefined : Math.min(alternatives, model.vocabulary);
    this.programs = new ProgramCache(runtime, PROGRAMS);
    this.rowPages = pagesOf(model.context);
    this.sourceRowPages = hasSource(model) ? pagesOf(model.sourceContext) : 1;
    this.slots = new Slots(runtime, rows, this.rowPages, this.sourceRowPages);
  }

  /** Reads the ids of the first n slots, stores their keys and values, and chooses the next ids. */
  step(n: number): Compiled<StepTensors> {
    const { alternatives, slots } = this;
    return this.programs.get(`step ${n}${this.mode}`, (graph) => {
      const { ids, past, logits } = this.advance(graph, n);
      return graph.within("output", () => {
        sampleInto(ids, logits, this.use(graph, slots.samplers, n), this.context(graph, n, past));
        graph.emit(Op.Advance, { past, counts: null, B: n });
        if (alternatives === undefined) return { logits };
        const losses = this.losses(graph, logits, ids);
        if (alternatives === 0) return { logits, losses };
        const zeros = graph.tensor([n]);
        graph.emit(Op.Fill, { out: zeros, n, value: 0 });
        return { logits, losses, best: keepAll(graph, extendBeams(logits, zeros, { width: 1, count: alternatives })) };
      });
    });
  }

  /**
   * Reads the ids of the first groups·width slots, stores their keys and values, and finds the `count` best extensions of each group.
   */
  expand(groups: number, width: number, count: number): Compiled<{ scores: Tensor; extensions: Extensions }> {
    return this.programs.get(`expand ${groups}x${width} ${count}${this.mode}`, (graph) => {
      const n = groups * width;
      const scores = graph.input([n]);
      const { past, logits } = this.advance(graph, n);
      return graph.within("output", () => {
        const rows = { settings: this.use(graph, this.slots.samplers, n), context: this.context(graph, n, past) };
        return { scores, extensions: keepAll(graph, extendBeams(logits, scores, { width, count }, rows)) };
      });
    });
  }

  /** Stores the keys and values of up to T tokens of one row; the first `counts` are valid. */
  prompt(T: number): Compiled<PromptInputs> {
    return this.programs.get(`prompt ${T}`, (graph) => this.read(graph, T).inputs);
  }

  /** The same, and computes what the model expected: for each token, minus the log-probability of the target that follows it. */
  score(T: number): Compiled<PromptInputs & { targets: Tensor<"i32">; losses: Tensor }> {
    return this.programs.get(`score ${T}`, (graph) => {
      const { inputs, states } = this.read(graph, T);
      const targets = graph.input([T], "i32");
      const losses = graph.within("output", () => this.losses(graph, this.model.logits(states), targets));
      return { ...inputs, targets, losses };
    });
  }

  /** Encodes n sources of up to S tokens, and stores the keys and values that the decoder attends to. */
  encode(n: number, S: number): Compiled<Record<"source" | "lengths" | "past" | "pages", Tensor<"i32">>> {
    return this.programs.get(`encode ${n}x${S}`, (graph) => {
      if (!hasSource(this.model)) throw new TypeError("encode: the model has no source");
      const source = graph.input([n, S], "i32");
      const [lengths, past] = [graph.input([n], "i32"), graph.input([n], "i32")];
      const pages = graph.input([n, this.sourceRowPages], "i32");
      this.model.storeSource(source, lengths, this.keyValues(graph, pages, past, lengths));
      return { source, lengths, past, pages };
    });
  }

  dispose(): void {
    this.programs.dispose();
    this.slots.dispose();
  }

  /** Reads the ids of the first n slots and stores their keys and values. */
  private advance(graph: Graph, n: number) {
    const { slots, model } = this;
    const use = (state: State<"i32">): Tensor<"i32"> => this.use(graph, state, n);
    const ids = use(slots.ids);
    const past = graph.use(new State(slots.past.block, [n], "i32", slots.past.offset));
    const cache = this.keyValues(graph, use(slots.pages), past);
    const sourceLengths = new State(slots.sourceLengths.block, [n], "i32", slots.sourceLengths.offset);
    const source = hasSource(model) ? this.keyValues(graph, use(slots.sourcePages), graph.use(sourceLengths)) : undefined;
    const states = model.decode(ids, cache, source);
    return { ids, past, logits: graph.within("output", () => graph.keep(model.logits(states))) };
  }

  /** Reads up to T tokens of one row. */
  private read(graph: Graph, T: number): { inputs: PromptInputs; states: Tensor } {
    const input = (shape: number[]): Tensor<"i32"> => graph.input(shape, "i32");
    const inputs = {
      tokens: input([1, T]), counts: input([1]), past: input([1]), pages: input([1, this.rowPages]),
      sourceLengths: input([1]), sourcePages: input([1, this.sourceRowPages]),
    };
    const source = hasSource(this.model) ? this.keyValues(graph, inputs.sourcePages, inputs.sourceLengths) : undefined;
    const states = this.model.decode(inputs.tokens, this.keyValues(graph, inputs.pages, inputs.past, inputs.counts), source);
    return { inputs, states };
  }

  /** f32 [rows]: −log softmax(logits)[target] of each row; 0 for a target of −1. */
  private losses(graph: Graph, logits: Tensor, targets: Tensor<"i32">): Tensor {
    const [R, V] = [logits.rows, logits.columns];
    const loss = graph.keep(graph.tensor([R]));
    graph.emit(Op.CrossEntropy, { loss, dLogits: null, logits, targets, R, V, factor: 1, smoothing: 0, ignored: -1 });
    return loss;
  }

  /** The first n slots' rows of a state. */
  private use(graph: Graph, { block, shape, offset }: State<"i32">, n: number): Tensor<"i32"> {
    return graph.use(new State(block, [n, shape[1]!], "i32", offset));
  }

  private context(graph: Graph, n: number, past: Tensor<"i32">): SamplingContext | undefined {
    const { context } = this.slots;
    return context && { history: this.use(graph, context.history, n), past, bias: graph.use(context.biases.state) };
  }

  /** Distinguishes the programs that know the rows' tokens. */
  private get mode(): string {
    return this.slots.context ? ", with context" : "";
  }

  private keyValues(graph: Graph, pages: Tensor<"i32">, past: Tensor<"i32">, counts: Tensor<"i32"> | null = null): KeyValues {
    return new KeyValues(this.pool.layout, graph.use(this.pool.state), pages, past, counts);
  }
}

function keepAll(graph: Graph, { scores, tokens, parents }: Extensions): Extensions {
  return { scores: graph.keep(scores), tokens: graph.keep(tokens), parents: graph.keep(parents) };
}
