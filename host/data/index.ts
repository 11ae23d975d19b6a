/** heed/data: tokenizers, corpora, batches, scores, and counter-based random numbers. */
export { type Batch, type BatchTensor } from "../batch";
export { type IntTensor, type PairBatch, type TokenBatch } from "./batch";
export { bleu, tokenize13a, type BleuOptions, type BleuScore } from "./bleu";
export { trainBPE, type TrainBPEOptions } from "./bpe";
export { gpt2JSON } from "./bytelevel";
export { CharacterTokenizer } from "./characters";
export { dates, type DatePair, type DatesOptions } from "./dates";
export { HuggingFaceTokenizer, loadTokenizer, type EncodeOptions } from "./huggingface";
export { evaluationBatches, languageModelBatches, type EvaluationOptions, type LanguageModelOptions } from "./language";
export { decodeUtf8, LineReader, parseLines, type Lines } from "./lines";
export { pairBatch } from "./pairbatch";
export { parallelCorpus, type Pair, type ParallelOptions, type Skipped } from "./parallel";
export { philox, Random, shuffle, Stream } from "./random";
export { seedKey } from "../seed";
export { SPECIALS, type DecodeOptions, type SpecialIds, type SpecialIdsOf, type Tokenizer, type TokenizerJSON } from "./tokenizer";
export { batchesByTokens, TokenBatches, type TokenBatchOptions } from "./translation";
