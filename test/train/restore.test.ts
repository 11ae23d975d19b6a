import { describe, expect, it } from "vitest";
import type { GPT } from "../../host/models/gpt";
import type { LanguageInputs } from "../../host/models/language";
import type { WeightArray } from "../../host/nn/weights";
import { type Snapshot, Trainer, type TrainerOptions } from "../../host/train/trainer";
import { drain, hashOf, place, randomBatch, weightsOf } from "./counting";

type Arrays = Map<string, WeightArray>;
const data = { batch: (step: number) => randomBatch(step) };
const options: TrainerOptions<LanguageInputs> = { steps: 4, schedule: { kind: "constant", peak: 1e-2 }, optimizer: { kind: "adamw" } };

/** A change to some arrays. */
const change = (name: string, length: number | undefined) => (arrays: Arrays): Arrays => {
  const changed = new Map(arrays);
  if (length === undefined) changed.delete(name);
  else changed.set(name, { shape: [length], data: new Float32Array(length).fill(7) });
  return changed;
};

const problems: [string, (arrays: Arrays) => Arrays, string][] = [
  ["an array that is too short", change("norm.weight", 15), "norm.weight: expected 16 values for [16], got 15"],
  ["an array that is too long", change("norm.weight", 17), "norm.weight: expected 16 values for [16], got 17"],
  ["an empty array", change("positions.weight", 0), "positions.weight: expected 128 values for [8,16], got 0"],
  ["a missing array", change("norm.weight", undefined), "norm.weight: missing"],
  ["an unknown array", change("norm.wait", 16), "norm.wait: there is no such parameter"],
  ["a name in the wrong case", (arrays) => change("norm.weight", undefined)(change("Norm.weight", 16)(arrays)), "Norm.weight: there is no such parameter\n  norm.weight: missing"],
];

describe("weights.write", () => {
  it.each(problems)("refuses arrays with %s, names it, and writes nothing", async (_, change, flaw) => {
    const model = await place();
    const before = weightsOf(model);
    const sevens: Arrays = new Map(Array.from(model.weights.read(), ([name, { shape, data }]) => [name, { shape, data: data.fill(7) }]));
    expect(() => model.weights.write(change(sevens))).toThrow(new RangeError(`weights: the arrays do not fit the model:\n  ${flaw}`));
    expect(weightsOf(model)).toBe(before);
  });

  it("names every array that does not fit at once", async () => {
    const model = await place();
    const arrays = change("norm.weight", 3)(change("extra", 1)(change("positions.weight", undefined)(model.weights.read())));
    expect(() => model.weights.write(arrays)).toThrow(
      "extra: there is no such parameter\n  positions.weight: missing\n  norm.weight: expected 16 values for [16], got 3",
    );
  });

  it("copies another model's weights", async () => {
    const [model, other] = [await place(), await place({ seed: 4 })];
    model.weights.write(other.weights.read());
    expect(weightsOf(model)).toBe(weightsOf(other));
  });
});

describe("Trainer.restore", () => {
  const started = async (more: Partial<TrainerOptions<LanguageInputs>> = {}): Promise<{ model: GPT; trainer: Trainer<LanguageInputs>; all: () => string[] }> => {
    const model = await place();
    const trainer = new Trainer(model, data, { ...options, ...more });
    for await (const event of trainer.run()) if (event.step === 2) break;
    const all = (): string[] => {
      const { state, best, training } = trainer.snapshot();
      return [JSON.stringify(state), hashOf(best), hashOf(training)];
    };
    return { model, trainer, all };
  };
  const other = async (more: Partial<TrainerOptions<LanguageInputs>> = {}): Promise<Snapshot> => {
    const trainer = new Trainer(await place({ seed: 9 }), data, { ...options, ...more });
    await drain(trainer);
    return trainer.snapshot();
  };

  it.each(problems)("changes nothing if the snapshot's weights have %s", async (_, change, flaw) => {
    const { trainer, all } = await started();
    const before = all();
    const snapshot = await other();
    expect(() => trainer.restore({ ...snapshot, best: change(snapshot.best) })).toThrow(flaw);
    expect(all()).toEqual(before);
  });

  it.each(["weights", "m", "v"].flatMap((kind) => problems.map((problem) => [kind, ...problem] as const)))("changes nothing if the snapshot's %s have %s", async (kind, _, change, flaw) => {
    const { trainer, all } = await started();
    const before = all();
    const snapshot = await other();
    const own: Arrays = new Map([...snapshot.training].flatMap(([name, array]) => (name.startsWith(`${kind}.`) ? [[name.slice(kind.length + 1), array]] : [])));
    const training: Arrays = new Map([...snapshot.training].filter(([name]) => !name.startsWith(`${kind}.`)));
    for (const [name, array] of change(own)) training.set(`${kind}.${name}`, array);
    expect(() => trainer.restore({ ...snapshot, training })).toThrow(flaw);
    expect(all()).toEqual(before);
  });

  it("refuses another optimizer's snapshot, names its arrays, and changes nothing", async () => {
    const momentum = { optimizer: { kind: "sgd", momentum: 0.9 } } as const;
    const velocity = await other(momentum);
    const adam = await started();
    const before = adam.all();
    expect(() => adam.trainer.restore(velocity)).toThrow("restore: expected only the arrays weights.*, m.*, v.* of this optimizer, got velocity.embedding.weight, ");
    expect(adam.all()).toEqual(before);
    const sgd = await started({ optimizer: { kind: "sgd" } });
    const untouched = sgd.all();
    const snapshot = await other();
    expect(() => sgd.trainer.restore(snapshot)).toThrow(/^restore: expected only the arrays weights\.\* of this optimizer, got m\.embedding\.weight, .*, v\.norm\.weight$/);
    expect(() => sgd.trainer.restore(velocity)).toThrow("restore: expected only the arrays weights.* of this optimizer, got velocity.embedding.weight, ");
    expect(sgd.all()).toEqual(untouched);
    const fits = await started(momentum);
    fits.trainer.restore(velocity);
    expect(hashOf(fits.trainer.snapshot().training)).toBe(hashOf(velocity.training));
  });

  it.each<[string, object | undefined, string]>([
    ["no state", undefined, "restore: state: expected an object with step, updates, skipped, validatedStep, bestStep, bestLoss, stale, got nothing"],
    ["an unknown state field", { steps: 3 }, 'restore: state: unknown field "steps"; did you mean "step"?'],
    ["a fractional step", { step: 1.5 }, "restore: state: step: expected an integer of at least 0, got 1.5"],
    ["a best loss of NaN", { bestLoss: NaN }, "restore: state: bestLoss: expected a number or null, got NaN"],
  ])("changes nothing if the snapshot has %s", async (_, changed, message) => {
    const { trainer, all } = await started();
    const before = all();
    const snapshot = await other();
    const state = (changed && { ...snapshot.state, ...changed }) as Snapshot["state"];
    expect(() => trainer.restore({ ...snapshot, state })).toThrow(message);
    expect(all()).toEqual(before);
  });

  it.each([{ kind: "adamw" }, { kind: "sgd" }] as const)("is refused after the trainer is disposed, and does not affect the model, with %j", async (optimizer) => {
    const { model, trainer } = await started({ optimizer });
    const snapshot = await other({ optimizer });
    trainer.dispose();
    const before = weightsOf(model);
    expect(() => trainer.restore(snapshot)).toThrow(new TypeError("trainer: cells: this memory was freed; its owner was disposed"));
    expect(weightsOf(model)).toBe(before);
    await expect(drain(trainer)).rejects.toThrow(TypeError);
    expect(weightsOf(model)).toBe(before);
  });
});
