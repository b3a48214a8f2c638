export {
  BlobAssembler,
  blobRef,
  chunkCount,
  chunksIn,
  type EdgeChunk,
  edgeChunks,
  splitBlob,
  UpdateAssembler,
} from './chunks.js';
export { type Carried, type Compensated, encodeWithFeedback } from './codec/errorFeedback.js';
export { CODECS, codec } from './codec/index.js';
export { encodeWithin, PRESET_NAMES, PRESETS, type Preset, presetOptions, warmedUp } from './codec/presets.js';
export { makeReference } from './codec/range.js';
export type { CodecOptions, Reference, UpdateCodec } from './codec/types.js';
export {
  ArgumentError,
  CodedError,
  codeOf,
  ERRORS,
  type ErrorCode,
  type ErrorEntry,
  ProtocolError,
  REFUSALS,
  REJECT_REASONS,
  type RejectReason,
  refusalCode,
} from './errors.js';
export { type Layout, makeLayout, sha256Hex, type TensorSlot } from './layout.js';
export {
  type BlobRef,
  decodeMessage,
  encodeMessage,
  MAX_CHUNK_BYTES,
  type Manifest,
  type Message,
  type MessageType,
  type MetricsMessage,
  type Receipt,
  type RequestMessage,
  type ResultMessage,
  type RoundMessage,
  SCHEMA_VERSION,
  type ShareChunk,
  type StatusMessage,
  type UpdateChunk,
} from './messages.js';
export { pack, unpack } from './msgpack.js';
export { decodeShare, encodeShare, type Shared, type ShareHeader, shareHeader } from './share.js';
export {
  canonicalJson,
  checkSigned,
  encodeSigned,
  enrolmentProof,
  isSignedBy,
  SIGNATURE_BYTES,
  Signer,
  sameText,
  tokenHash,
} from './signing.js';
export {
  type EdgeTopic,
  IDENTIFIER,
  identifier,
  parseEdgeTopic,
  replyAddress,
  TOPIC_ROOT,
  Topics,
} from './topics.js';
export { decodeUpdate, encodeUpdate, type UpdateHeader } from './update.js';
