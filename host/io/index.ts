/** heed/io: safetensors files, checkpoints, and the file system interface that they use. */
export { Checkpoint, openCheckpoint, recoverCheckpoint, saveCheckpoint } from "./checkpoint";
export { checkTensors, type Shapes } from "./checktensors";
export { type Dtype, type StoredTensor, toFloat32 } from "./dtype";
export { type Files, MemoryFiles, type OpenFile } from "./files";
export { type CheckpointConfig, type LoadedModel, type LoadOptions, type SnapshotShapes, type Task } from "./model";
export { createModel, loadModel, parseConfig, readSnapshot, saveModel, snapshotFiles } from "./model";
export { type TensorInfo } from "./header";
export { readSafetensors, type Safetensors, writeSafetensors } from "./safetensors";
export { type FloatSink, TensorFile } from "./tensorfile";
