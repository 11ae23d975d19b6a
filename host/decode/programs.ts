import { Op } from "../../assembly/opcodes";
import { type Compiled, ProgramCache } from "../graph/cache";
import type { Graph } from "../graph/graph";
import { KeyValues, PAGE_TOKENS } from "../graph/ops/keyvalues";
import { SAMPLER_WORDS, sampleInto } from "../graph/ops/sampling";
import { State, type Tensor } from "../graph/tensor";
import { type DecoderModel, hasSource } from "../models/decoding";
import type { PagePool } from "./pages";
import { Slots } from "./slots";

/** Maximum number of programs that a session keeps. */
const PROGRAMS = 32;

const pagesOf = (tokens: number): number => Math.ceil(tokens / PAGE_TOKENS);

/**
 * A session's programs: a step of 1, 2, 4, … rows, a prompt of one row in a few lengths, and a batch of sources. They are compiled on
 * first use, and the least recently used are disposed.
 */
export class DecodingPrograms {
  readonly slots: Slots;
  /** Maximum number of pages of a row, and of a source. */
  readonly rowPages: number;
  readonly sourceRowPages: number;
  private readonly programs: ProgramCache;

  constructor(
    private readonly model: DecoderModel,
    private readonly pool: PagePool,
    rows: number,
  ) {
    const { runtime } = model.weights;
    this.programs = new ProgramCache(runtime, PROGRAMS);
    this.rowPages = pagesOf(model.context);
    this.sourceRowPages = hasSource(model) ? pagesOf(model.sourceContext) : 1;
    this.slots = new Slots(runtime, rows, this.rowPages, this.sourceRowPages);
  }

  /** Reads the ids of the first n slots, stores their keys and values, and chooses the next ids. */
  step(n: number): Compiled<{ logits: Tensor }> {
    return this.programs.get(`step ${n}`, (graph) => {
      const use = (state: State<"i32">, shape: number[]): Tensor<"i32"> => graph.use(new State(state.block, shape, "i32", state.offset));
      const { slots, model } = this;
      const ids = use(slots.ids, [n, 1]);
      const past = use(slots.past, [n]);
      const cache = this.keyValues(graph, use(slots.pages, [n, this.rowPages]), past);
      const source = hasSource(model)
        ? this.keyValues(graph, use(slots.sourcePages, [n, this.sourceRowPages]), use(slots.sourceLengths, [n]))
        : undefined;
      const states = model.decode(ids, cache, source);
      const logits = graph.within("output", () => {
        const logits = graph.keep(model.logits(states));
        sampleInto(ids, logits, use(slots.samplers, [n, SAMPLER_WORDS]));
        graph.emit(Op.Advance, { past, counts: null, B: n });
        return logits;
      });
      return { logits };
    });
  }

  /** Stores the keys and values of up to T tokens of one row; the first `counts` are valid. */
  prompt(T: number): Compiled<Record<"tokens" | "counts" | "past" | "pages" | "sourceLengths" | "sourcePages", Tensor<"i32">>> {
    return this.programs.get(`prompt ${T}`, (graph) => {
      const input = (shape: number[]): Tensor<"i32"> => graph.input(shape, "i32");
      const inputs = {
        tokens: input([1, T]), counts: input([1]), past: input([1]), pages: input([1, this.rowPages]),
        sourceLengths: input([1]), sourcePages: input([1, this.sourceRowPages]),
      };
      const source = hasSource(this.model) ? this.keyValues(graph, inputs.sourcePages, inputs.sourceLengths) : undefined;
      this.model.decode(inputs.tokens, this.keyValues(graph, inputs.pages, inputs.past, inputs.counts), source);
      return inputs;
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

  private keyValues(graph: Graph, pages: Tensor<"i32">, past: Tensor<"i32">, counts: Tensor<"i32"> | null = null): KeyValues {
    return new KeyValues(this.pool.layout, graph.use(this.pool.state), pages, past, counts);
  }
}
