/** heed/io: files. safetensors, checkpoints, and the small interface through which they reach a disk. */
export { Checkpoint, openCheckpoint, recoverCheckpoint, saveCheckpoint } from "./checkpoint";
export { checkTensors, type Shapes } from "./checktensors";
export { type Dtype, type StoredTensor, toFloat32 } from "./dtype";
export { type Files, MemoryFiles, type OpenFile } from "./files";
export { type CheckpointConfig, type LoadedModel, loadModel, parseConfig, readSnapshot, saveModel, snapshotFiles, type SnapshotShapes, type Task } from "./model";
export { readSafetensors, type Safetensors, type TensorInfo, writeSafetensors } from "./safetensors";
export { type FloatSink, TensorFile } from "./tensorfile";
