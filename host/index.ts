/** heed: Transformers that train and decode wherever WebAssembly runs. */
export { Runtime, hasRelaxedSimd, hasSharedMemory, type Build, type CoreSource, type RuntimeOptions } from "./core/runtime";
export { type Limit, type Limits, machineLimits } from "./core/limit";
export type { Workers } from "./core/workers";
export type { Batch, BatchTensor } from "./batch";
export type { AbortSignalLike, ByteSource, UrlLike, WasmMemory, WasmModule } from "./webtypes";
export { HeedError, type HeedErrorCode } from "./errors";

export { Graph, type GraphOptions } from "./graph/graph";
export { compile, Program, type InstructionInfo, type ProgramInfo } from "./graph/program";
export { type ArrayOf, type DType, type WeightFormat } from "./graph/formats";
export { Loss } from "./graph/loss";
export { constant, type Initializer, normal, Parameter, Table, xavierUniform } from "./graph/parameter";
export { State, Tensor } from "./graph/tensor";
export { Activation, activate, gelu, geluTanh, relu, silu } from "./graph/ops/activation";
export { type AttentionOptions, crossAttention, selfAttention } from "./graph/ops/attention";
export { crossEntropy, type CrossEntropyOptions } from "./graph/ops/crossentropy";
export { dropout } from "./graph/ops/dropout";
export { add, gatherRows, multiply, scale, transpose } from "./graph/ops/elementwise";
export { addPositions, embedding } from "./graph/ops/embedding";
export { KeyValues, LayerKeyValues, type PageLayout } from "./graph/ops/keyvalues";
export { layerNorm } from "./graph/ops/layernorm";
export { linear, matmul } from "./graph/ops/linear";
export { rmsNorm } from "./graph/ops/rmsnorm";
export { rotary } from "./graph/ops/rotary";
export { argmax, extendBeams, type Extensions, lengthPenalties, sample, samplerSettings, type SamplingContext } from "./graph/ops/sampling";
export { softmax } from "./graph/ops/softmax";

export { Layer } from "./nn/layer";
export { Linear, type LinearOptions } from "./nn/linear";
export { Embedding, LearnedPositions } from "./nn/embedding";
export { RotaryPositions, SinusoidalPositions } from "./nn/positions";
export { LayerNorm } from "./nn/layernorm";
export { RMSNorm } from "./nn/rmsnorm";
export { type AttentionConfig, CrossAttention, type Mask, SelfAttention, type Source } from "./nn/attention";
export { FeedForward, type FeedForwardConfig } from "./nn/feedforward";
export { type BlockConfig, Decoder, DecoderLayer, type DecoderSource, Encoder, EncoderLayer } from "./nn/blocks";
export { Weights, type WeightArray, type WeightsOptions } from "./nn/weights";

export { type BatchOf, ids, type Inputs, type InputSpec, type InputSpecs, lengths, numbers } from "./models/inputs";
export { Model, type PlaceOptions } from "./models/model";
export { GPT, type GPTConfig, gptPresets } from "./models/gpt";
export { GatedFeedForward, Llama, type LlamaConfig, llamaPresets } from "./models/llama";
export { Transformer, type TransformerConfig, transformerPresets } from "./models/transformer";
export { type DecoderModel, type EncoderDecoderModel } from "./models/decoding";

export { computeGradients, evaluate, type Evaluation, type Gradients } from "./train/evaluate";
export { type OptimizerConfig, vaswaniAdam } from "./train/optimizer";
export { learningRate, type Schedule } from "./train/schedule";
export { Trainer, type Snapshot, type TrainerOptions, type TrainerState, type TrainingData, type TrainingEvent } from "./train/trainer";

export { type Profile, profile, type ProfileLine, type ProfileOptions, type Timed } from "./profile/profile";
export { byKernel, byLayer, type Summary, total } from "./profile/summary";
export { chromeTrace, type Track } from "./profile/trace";

export { type Prompt } from "./decode/prompt";
export { Session } from "./decode/session";
export { type SessionOptions } from "./decode/sessionoptions";
export { type Extension } from "./decode/steps";
export { type Alternative, type Row } from "./decode/row";
export { type Sampler } from "./decode/sampler";
export { greedy, type GreedyOptions } from "./decode/greedy";
export { generate, type GenerateOptions } from "./decode/generate";
export { streamText, type StreamOptions, type StreamResult, type TextCodec, TextStream } from "./decode/stream";
export { score, type Score, type ScoreOptions } from "./decode/score";
export { TextPieces } from "./decode/pieces";
export { attentionWeights, type AttentionWeights, type AttentionWeightsOptions } from "./models/attention";
export { decodingMemory, type DecodingMemory, type DecodingMemoryOptions } from "./decode/memory";
export { beamSearch, type BeamOptions, type BeamPrompt, type Hypothesis, type LengthPenalty } from "./decode/beam";

export { type Dtype, type DtypeArrays, type StoredTensor, type StoredTensorOf, toFloat32 } from "./io/dtype";
export { readSafetensors, type Safetensors, writeSafetensors } from "./io/safetensors";
export { type Files, MemoryFiles, type OpenFile } from "./io/files";
export { type Checkpoint, openCheckpoint, recoverCheckpoint, saveCheckpoint } from "./io/checkpoint";
export { checkTensors, type Shapes } from "./io/checktensors";
