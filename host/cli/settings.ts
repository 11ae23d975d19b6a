import { inFile } from "../errors";
import { byKind, checkFields, count, type Field, type Fields, isObject, notNegative, object, optional, whole } from "../fields";
import type { Task } from "../io/model";
import { families, type ModelType } from "../models/families";
import { optimizerFields } from "../train/optimizer";
import { scheduleFields } from "../train/schedule";
import { excerpt, show } from "../quote";
import { readJson } from "./input";
import type { TrainOptions } from "./options";
import { type Preset, presetsOf, type Settings, type TrainingSettings } from "./presets";

const trainingFields: Fields<TrainingSettings> = {
  steps: count,
  batch: count,
  microBatches: count,
  schedule: object,
  optimizer: object,
  clip: notNegative,
  validateEvery: count,
  saveEvery: whole,
  patience: whole,
};

/** The settings of `--preset`, overridden by `--config` and then by command-line options. */
export async function trainingSettings<T extends ModelType>(
  task: Task, options: TrainOptions & { vocabulary?: number },
): Promise<Settings<T>> {
  const preset = presetsOf(task).get(options.preset)!;
  const { config: file, steps, validateEvery, saveEvery, vocabulary } = options;
  const settings = withConfig(preset, file === undefined ? {} : await readJson(file), file ?? "--preset") as Settings<T>;
  const given = Object.fromEntries(Object.entries({ steps, validateEvery, saveEvery }).filter(([, value]) => value !== undefined));
  return { ...settings, training: { ...settings.training, ...given }, ...(vocabulary === undefined ? {} : { vocabulary }) };
}

/**
 * Overrides a preset with the fields of a `--config` file: `{ "model": {…}, "training": {…}, "vocabulary": … }`.
 * A schedule or optimizer of another kind replaces the preset's; one of the same kind overrides only the fields it names.
 *
 * @param file  the file's name, for errors
 * @throws HeedError (`format`) for fields that are unknown or of the wrong kind
 */
export function withConfig(preset: Preset, config: unknown, file: string): Settings {
  return inFile(file, () => merge(preset, config));
}

function merge(preset: Preset, config: unknown): Settings {
  const vocabulary: Record<string, Field> = preset.vocabulary === undefined ? {} : { vocabulary: optional(count) };
  checkFields("", config, { model: optional(object), training: optional(object), ...vocabulary });
  const { model = {}, training = {}, vocabulary: size = preset.vocabulary } = config as {
    model?: object; training?: object; vocabulary?: number;
  };
  const { schedule, optimizer, ...plain } = training as Record<string, unknown>;
  const settings = {
    type: preset.type,
    model: { ...preset.model, ...model },
    training: {
      ...preset.training,
      ...plain,
      schedule: mergeKind(preset.training.schedule, schedule),
      optimizer: mergeKind(preset.training.optimizer, optimizer),
    },
    ...(size === undefined ? {} : { vocabulary: size }),
  };
  const modelFields: Record<string, Field> = { ...families[preset.type].fields };
  delete modelFields.vocabulary; // it comes from the data
  checkFields("model", settings.model, modelFields);
  checkFields("training", settings.training, trainingFields);
  checkFields("training.schedule", ...byKind(settings.training.schedule, scheduleFields));
  checkFields("training.optimizer", ...byKind(settings.training.optimizer, optimizerFields));
  return settings as Settings;
}

function mergeKind(preset: { kind: string }, given: unknown): unknown {
  if (given === undefined) return preset;
  if (!isObject(given) || (given.kind !== undefined && given.kind !== preset.kind)) return given;
  return { ...preset, ...given };
}

/** The differences between two JSON values, as `path: old → new`. */
export function differences(before: unknown, after: unknown, path = ""): string[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => differences(before[name], after[name], path ? `${path}.${name}` : name));
  }
  const [old, now] = [JSON.stringify(before), JSON.stringify(after)];
  return old === now ? [] : [`${excerpt(path)}: ${show(before)} → ${show(after)}`];
}
