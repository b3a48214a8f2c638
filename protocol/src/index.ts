export { ProtocolError, REJECT_REASONS, type RejectReason } from './errors.js';
export {
  IDENTIFIER,
  TOPIC_ROOT,
  Topics,
  identifier,
  parseEdgeTopic,
  replyAddress,
  type EdgeTopic,
} from './topics.js';
export { pack, unpack } from './msgpack.js';
export {
  MAX_CHUNK_BYTES,
  SCHEMA_VERSION,
  decodeMessage,
  encodeMessage,
  type BlobRef,
  type Manifest,
  type Message,
  type MessageType,
  type MetricsMessage,
  type Receipt,
  type RoundMessage,
  type StatusMessage,
  type UpdateChunk,
} from './messages.js';
export { makeLayout, sha256Hex, type Layout, type TensorSlot } from './layout.js';
export { BlobAssembler, UpdateAssembler, blobRef, chunkCount, splitBlob, updateChunks } from './chunks.js';
export { CODECS, codec } from './codec/index.js';
export { encodeWithFeedback, type Compensated } from './codec/errorFeedback.js';
export type { CodecOptions, DecodedUpdate, UpdateCodec } from './codec/types.js';
export { decodeUpdate, encodeUpdate, type UpdateHeader } from './update.js';
