import { YieldTimer } from "../core/yieldtoeventloop";
import { checkConfig, count, type FieldsByName, finite, isObject, object, oneOf, optional, typed } from "../fields";
import { lengthPenalties, samplingFields } from "../graph/ops/sampling";
import { type DecoderModel, expectDecoder } from "../models/decoding";
import { checkIds } from "../models/inputs";
import type { AbortSignalLike } from "../webtypes";
import { limits, limitsOf } from "./limits";
import { checkPrompts, type Prompt } from "./prompt";
import type { Row } from "./row";
import { adjustmentFields, endField, endIds, type Sampler } from "./sampler";
import { Session } from "./session";
import type { Extension } from "./steps";

/** The divisor of the log-probability of a hypothesis of n tokens, including `end`. */
export interface LengthPenalty {
  /** "wu": ((5 + n)/6)^alpha (Wu et al. 2016, arXiv:1609.08144, section 7). "huggingface": n^alpha, Hugging Face's `length_penalty`. */
  kind: "wu" | "huggingface";
  alpha: number;
}

/** The settings of a sampler that do not apply to beams, or apply to all of them alike. */
type NotForBeams = "end" | keyof typeof samplingFields;

/** Options of `beamSearch`. Settings of a sampler adjust log-probabilities, as in Hugging Face's beam search. */
export interface BeamOptions extends Omit<Sampler, NotForBeams> {
  /** The id that ends a hypothesis, or several. */
  end: number | readonly number[];
  /** Number of hypotheses kept at each step; 4 by default. */
  beams?: number;
  /** Number of hypotheses returned for each prompt; 1 by default. */
  nBest?: number;
  /** Maximum number of tokens to generate, including `end`, or one for each prompt; by default, what the model's context has room for. */
  maxTokens?: number | readonly number[];
  /** `{ kind: "wu", alpha: 0.6 }` by default, as in Vaswani et al. 2017, section 6.1. */
  lengthPenalty?: LengthPenalty;
  /**
   * When the search of a prompt stops after `beams` hypotheses have ended: immediately (true); when no running beam would beat them if it
   * ended now (false, the default); or when none can beat them at any length ("never"). These are Hugging Face's modes.
   */
  earlyStopping?: boolean | "never";
  signal?: AbortSignalLike;
}

/** What a search starts from. Settings of the prompt replace those of the options. */
export type BeamPrompt = Omit<Prompt, NotForBeams>;

/** A sequence that beam search found. */
export interface Hypothesis {
  /** The generated ids, without `end`. */
  readonly ids: readonly number[];
  /** Sum of the log-probabilities, `end` included, divided by the length penalty. */
  readonly score: number;
  readonly logProbability: number;
  /** "end" if it ends with an `end` token, "length" if it reached the maximum length. */
  readonly reason: "end" | "length";
}

const stopping = typed('true, false or "never"', (value) => typeof value === "boolean" || value === "never");
const fields: FieldsByName = {
  ...adjustmentFields, end: endField, beams: optional(count), nBest: optional(count), maxTokens: optional(limits),
  lengthPenalty: optional(object), earlyStopping: optional(stopping), signal: optional(object),
};

/** Vaswani et al. 2017, section 6.1 */
const wu: LengthPenalty = { kind: "wu", alpha: 0.6 };
/** Rows of a session that `beamSearch` opens itself. */
const ROWS = 160;

/**
 * Finds likely continuations of prompts, or translations of sources, by beam search. A prompt's hypotheses do not depend on the others.
 * @param model    a model, or a session of at least `beams` rows to reuse across calls
 * @param prompts  what each hypothesis starts with: `{ tokens }`, or `{ source, tokens }` for an encoder-decoder
 * @returns for each prompt its `nBest` hypotheses, best first
 * @throws TypeError for unknown options, and for those that only sampling has; RangeError for options and ids out of range, and if `nBest`
 *   exceeds `beams`
 *
 * @example
 * const [[best]] = await beamSearch(model, [{ source: tokenizer.encode("3 May 2019"), tokens: [1] }], { end: 2, beams: 4 });
 * best.ids.length > 0; // true
 */
export async function beamSearch<M extends DecoderModel>(
  model: M | Session<M>, prompts: readonly BeamPrompt[], options: BeamOptions,
): Promise<Hypothesis[][]> {
  const decoder = model instanceof Session ? model.model : model;
  expectDecoder("beamSearch", decoder);
  const settings = checkOptions(decoder, options);
  const starts = toStarts(decoder, prompts, settings);
  const { beams, signal } = settings;
  const most = limitsOf("beamSearch", settings.maxTokens, prompts);
  const rows = Math.max(beams, Math.min(ROWS, beams * prompts.length));
  const session = model instanceof Session ? model : new Session(decoder, { rows });
  if (session.free < beams) {
    const free = `the session has ${session.rows}, of which ${session.free} are free`;
    throw new RangeError(`beamSearch: ${beams} beams need as many rows; ${free}`);
  }
  try {
    const penalties = penaltiesOf(decoder, settings.lengthPenalty);
    const atOnce = Math.floor(session.free / beams);
    const found: Hypothesis[][] = [];
    for (let at = 0; at < starts.length; at += atOnce) {
      const rows = await session.open(starts.slice(at, at + atOnce), { signal });
      const searches = rows.map((row, i) => new Search(session, row, settings, penalties, most[at + i]!));
      try {
        await run(session, searches, settings);
        for (const search of searches) found.push(search.best(settings.nBest));
      } finally {
        for (const search of searches) search.close();
      }
    }
    return found;
  } finally {
    if (session !== model) session.dispose();
  }
}

type Settings = ReturnType<typeof checkOptions>;

/** @throws TypeError if options of a sampler are given that beams do not have */
function refuseSampling(where: string, options: Sampler | undefined): void {
  for (const name of Object.keys(samplingFields) as (keyof typeof samplingFields)[]) {
    const value = options?.[name];
    if (value === undefined) continue;
    throw new TypeError(`${where}: ${name}=${value} is for sampling, and beams are not sampled; use generate, or leave it out`);
  }
}

/** The prompts with the settings of the search; all are checked before any is read. */
function toStarts(model: DecoderModel, prompts: readonly BeamPrompt[], { sampler }: Settings): Prompt[] {
  if (!Array.isArray(prompts)) throw new TypeError("beamSearch: expected a list of prompts, each { tokens }");
  const starts = prompts.map((prompt: Prompt, i) => {
    if (!isObject(prompt)) throw new TypeError(`beamSearch: prompt ${i}: expected { tokens }, got ${String(prompt)}`);
    refuseSampling(`beamSearch: prompt ${i}`, prompt);
    if (prompt.end !== undefined) throw new TypeError(`beamSearch: prompt ${i}: end is the same for all prompts; give it with the options`);
    return { ...sampler, ...prompt };
  });
  checkPrompts("beamSearch", model, starts);
  return starts;
}

function checkOptions(model: DecoderModel, options: BeamOptions) {
  refuseSampling("beamSearch", options as Sampler | undefined);
  checkConfig("beamSearch", options, fields);
  const { end, beams = 4, nBest = 1, maxTokens, lengthPenalty = wu, earlyStopping = false, signal, ...sampler } = options;
  checkConfig("beamSearch: lengthPenalty", lengthPenalty, { kind: oneOf("wu", "huggingface"), alpha: finite });
  const ends = endIds(end);
  checkIds("beamSearch: end", ends, model.vocabulary);
  if (nBest > beams) throw new RangeError(`beamSearch: nBest: expected at most as many as beams=${beams}, got ${nBest}`);
  return { ends: new Set(ends), beams, nBest, maxTokens, lengthPenalty, earlyStopping, signal, sampler: { ...sampler, end: ends } };
}

/** The penalties of 0, 1, … tokens. They are computed in wasm, because `Math.pow` differs between engines. */
function penaltiesOf(model: DecoderModel, { kind, alpha }: LengthPenalty): Float32Array {
  const { program, tensors } = model.programs.get(`length penalties ${kind} ${alpha}`, (graph) =>
    graph.keep(lengthPenalties(graph, model.context + 2, { offset: kind === "wu" ? 5 : 0, alpha })),
  );
  program.run();
  return program.read(tensors);
}

async function run(session: Session, searches: readonly Search[], { beams, ends, signal }: Settings): Promise<void> {
  const timer = new YieldTimer();
  // Enough extensions for `beams` of them not to be ends.
  const count = Math.max(2, 1 + ends.size) * beams;
  let active = searches.filter((search) => !search.isDone);
  while (active.length > 0) {
    signal?.throwIfAborted();
    const found = await session.expand(active.map(({ rows }) => rows), active.map(({ scores }) => scores), { width: beams, count });
    active.forEach((search, i) => search.advance(found[i]!));
    active = active.filter((search) => !search.isDone);
    await timer.yield();
  }
}

/** The search for the continuations of one prompt. */
class Search {
  rows: Row[];
  scores: number[] = [0];
  isDone: boolean;
  /** Hypotheses that have ended, best first. */
  private ended: Hypothesis[] = [];
  private readonly prompt: number;
  private readonly maxTokens: number;

  constructor(
    private readonly session: Session,
    row: Row,
    private readonly settings: Settings,
    private readonly penalties: Float32Array,
    maxTokens: number,
  ) {
    this.rows = [row];
    this.prompt = row.tokens.length;
    this.maxTokens = Math.min(maxTokens, session.model.context + 1 - this.prompt);
    this.isDone = this.maxTokens === 0;
  }

  /** Takes the best extensions, in descending order: ends the best of them that end, and continues the best of the others. */
  advance(extensions: readonly Extension[]): void {
    const { beams, ends, earlyStopping, lengthPenalty } = this.settings;
    const length = this.rows[0]!.tokens.length - this.prompt + 1;
    const isLast = length === this.maxTokens;
    const next: Extension[] = [];
    extensions.forEach((extension, rank) => {
      const isEnd = ends.has(extension.id);
      if (!isEnd && !isLast) next.push(extension);
      else if (rank < beams) this.end(extension, length, isEnd);
    });
    this.continue(next.slice(0, beams));
    this.isDone = isLast || this.rows.length === 0;
    if (this.isDone || this.ended.length < beams) return;
    const most = earlyStopping === "never" && lengthPenalty.alpha > 0 ? this.maxTokens : length;
    const attainable = Math.fround(this.scores[0]! / this.penalties[most]!);
    this.isDone = earlyStopping === true || attainable <= this.ended.at(-1)!.score;
  }

  best(n: number): Hypothesis[] {
    return this.ended.slice(0, n);
  }

  close(): void {
    for (const row of this.rows) this.session.close(row);
  }

  private end({ parent, id, score: logProbability }: Extension, length: number, isEnd: boolean): void {
    const score = Math.fround(logProbability / this.penalties[length]!);
    const ids = this.rows[parent]!.tokens.slice(this.prompt);
    if (!isEnd) ids.push(id);
    const after = this.ended.findIndex((other) => other.score < score);
    this.ended.splice(after < 0 ? this.ended.length : after, 0, { ids, score, logProbability, reason: isEnd ? "end" : "length" });
    this.ended.length = Math.min(this.ended.length, this.settings.beams);
  }

  /** Replaces the rows by their extensions. A row that is extended more than once is forked. */
  private continue(extensions: readonly Extension[]): void {
    const parents = this.rows;
    const used = new Set<number>(extensions.map(({ parent }) => parent));
    parents.forEach((row, i) => {
      if (!used.has(i)) this.session.close(row);
    });
    const taken = new Set<number>();
    this.rows = extensions.map(({ parent }) => {
      if (taken.has(parent)) return this.session.fork(parents[parent]!);
      taken.add(parent);
      return parents[parent]!;
    });
    extensions.forEach(({ id }, i) => this.session.choose(this.rows[i]!, id));
    this.scores = extensions.map(({ score }) => score);
  }
}
