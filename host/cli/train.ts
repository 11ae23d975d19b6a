import type { Command } from "commander";
import type { Context } from "./context";
import { addTrainDates } from "./train-dates";
import { addTrainText } from "./train-text";
import { addTrainTranslate } from "./train-translate";

export function addTrain(program: Command, context: Context): void {
  const train = program.command("train")
    .summary("train a model")
    .description("Trains a model on generated dates, on a parallel corpus, or on a text.");
  for (const add of [addTrainDates, addTrainTranslate, addTrainText]) add(train, context);
}
