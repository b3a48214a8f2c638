import { z } from 'zod';
import { ProtocolError } from './errors.js';
import { pack, unpack } from './msgpack.js';
import { IDENTIFIER } from './topics.js';

/** Version of every envelope; a peer with another version is answered `schema-version`. */
export const SCHEMA_VERSION = 1;

/** Largest chunk of a blob in one message, bytes (Azure Event Grid keeps at most 64 KB in flight). */
export const MAX_CHUNK_BYTES = 48 * 1024;

const id = z.string().regex(IDENTIFIER);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const finite = z.number();
const millis = z.number().min(0).max(8.64e15);
const bytes = z.custom<Uint8Array>((v) => v instanceof Uint8Array, 'expected bin');

const blobSchema = z.object({
  sha256,
  size: z.int().min(1),
  chunkBytes: z.int().min(1).max(MAX_CHUNK_BYTES),
});
/** A content-addressed blob that is published in chunks: sha256 (hex), size and chunk size in bytes. */
export type BlobRef = z.infer<typeof blobSchema>;

const head = { v: z.literal(SCHEMA_VERSION) };

/** Ed25519 public key in hex, and the signature over the rest of the message (see signing.ts). */
const signed = { key: sha256, signature: bytes.refine((b) => b.length === 64, 'expected 64 bytes') };

const schemas = {
  /** cloud -> all, retained: the current version of a model. */
  manifest: z.object({
    ...head,
    ...signed,
    type: z.literal('manifest'),
    fleet: id,
    model: id,
    /** 1 for the initial model, then one more for each accepted round. */
    version: z.int().min(1),
    /** sha256 of the version this one was made from; null for the initial model. */
    parent: sha256.nullable(),
    round: count,
    createdAt: millis,
    /** The inference model; its sha256 is the base hash of updates. */
    infer: blobSchema,
    /** The training graph; it changes only with the architecture or the hyper-parameters compiled in. */
    train: blobSchema,
    /** What leads from an earlier version to this one: whoever has that needs no more. */
    difference: blobSchema.extend({ from: sha256, codec: z.string().max(40) }).optional(),
    layout: z.string().regex(/^[0-9a-f]{16}$/),
    input: z.array(z.int().min(1)).max(8),
    classes: z.array(z.string().max(80)).max(10_000),
    simulatedData: z.boolean(),
    /** Names how a stream is cut into windows: a gateway with another way must not train this model. */
    stream: z.string().max(64).optional(),
    metrics: z.record(z.string().max(60), finite),
    /** On trial: only these edges take it, and their reports decide. */
    canary: z.array(id).min(1).max(10_000).optional(),
    /** What the cloud would like from sites that opt in: samples, or activations of this version at a named value of its graph. */
    share: z
      .object({
        samples: count.optional(),
        features: z.object({ layer: z.string().min(1).max(200), samples: count }).optional(),
      })
      .optional(),
  }),
  /** cloud -> edges, retained: the open (or last closed) round. */
  round: z.object({
    ...head,
    ...signed,
    type: z.literal('round'),
    model: id,
    round: z.int().min(1),
    state: z.enum(['open', 'closed']),
    base: z.object({ version: z.int().min(1), sha256 }),
    openedAt: millis,
    deadlineAt: millis,
    /** The edges that are asked to train; absent: all. */
    participants: z.array(id).max(10_000).optional(),
    /** async: an edge ends its training and sends its update even where newer versions have come meanwhile. Absent: sync. */
    mode: z.enum(['sync', 'async']).optional(),
    hyper: z.object({
      epochs: z.int().min(1).max(10_000),
      learningRate: z.number().gt(0),
      momentum: z.number().min(0).lt(1),
      seed: count,
    }),
    codec: z.object({ name: z.string().max(40), options: z.record(z.string().max(40), finite) }),
  }),
  /** edge -> cloud, retained, also the last will. `session` orders a late will against a rebirth. */
  status: z.object({
    ...head,
    type: z.literal('status'),
    edge: id,
    online: z.boolean(),
    session: millis,
    software: z.string().max(60),
    samples: count,
    models: z.record(id, z.int().min(0)),
  }),
  /** edge -> cloud: one chunk of an update blob. `id` is the sha256 of the whole blob. */
  update: z.object({
    ...head,
    type: z.literal('update'),
    id: sha256,
    edge: id,
    model: id,
    round: z.int().min(1),
    base: sha256,
    index: count,
    count: z.int().min(1).max(1_000_000),
    size: z.int().min(1),
    crc: z.int().min(0).max(0xffffffff),
    data: bytes,
  }),
  /** edge -> cloud: one chunk of what a site shares by opt-in (see share.ts). */
  share: z.object({
    ...head,
    type: z.literal('share'),
    id: sha256,
    edge: id,
    model: id,
    base: sha256,
    index: count,
    count: z.int().min(1).max(1_000_000),
    size: z.int().min(1),
    crc: z.int().min(0).max(0xffffffff),
    data: bytes,
  }),
  /** edge -> cloud: asks to be known by a key; `proof` shows that a one-time token is held (see enrolmentProof). */
  enrol: z.object({
    ...head,
    type: z.literal('enrol'),
    edge: id,
    model: id,
    key: sha256,
    proof: sha256,
  }),
  /** cloud -> edge: what became of an update. `id` is null where the message named none. */
  receipt: z.object({
    ...head,
    type: z.literal('receipt'),
    id: sha256.nullable(),
    status: z.enum(['accepted', 'missing', 'rejected']),
    round: z.int().min(0).nullable(),
    reason: z.string().max(40).optional(),
    /** Of `reason`: see docs/errors.md. */
    code: z.string().max(80).optional(),
    detail: z.string().max(500).optional(),
    /** Bit i (from the lowest of the first byte) is set where chunk i has not arrived. */
    missing: bytes.optional(),
  }),
  /** sensor -> edge: one sample to be put through the model in service. The same as JSON has `x` as a list of numbers, and needs no `v` and `type`. */
  request: z.object({
    ...head,
    type: z.literal('request'),
    id: z.string().max(100),
    /** The sample's values as the model takes them: float32, little-endian, row by row. */
    x: bytes,
  }),
  /** edge -> sensor: what the model says of a sample, or why there is no answer. */
  result: z.object({
    ...head,
    type: z.literal('result'),
    id: z.string().max(100),
    edge: id,
    model: id,
    error: z.enum(['overloaded', 'no-model', 'bad-request', 'failed']).optional(),
    detail: z.string().max(500).optional(),
    version: z.int().min(1).optional(),
    /** The gateway's own model, made from that version. */
    own: z.boolean().optional(),
    class: z.string().max(80).optional(),
    label: count.optional(),
    probability: finite.optional(),
    /** How unusual the sample is; above `threshold` it is an anomaly. */
    score: finite.optional(),
    threshold: finite.optional(),
    anomaly: z.boolean().optional(),
    latencyMs: finite.optional(),
    /** Of a window of the gateway's own stream: its first and last tick, and the share of it that was measured. */
    startMs: millis.optional(),
    endMs: millis.optional(),
    present: finite.optional(),
  }),
  /** edge -> cloud: what an edge measured. Accuracies in [0, 1]. */
  metrics: z.object({
    ...head,
    type: z.literal('metrics'),
    edge: id,
    model: id,
    /** quality: of the data since the last such report. drift: the data is not what it was; a round would be welcome. served: requests for inference since the last such report. */
    event: z.enum(['trained', 'adopted', 'kept', 'quality', 'drift', 'served']),
    round: count,
    /** In hand; 0: none yet. */
    version: count,
    values: z.record(z.string().regex(/^[a-z][A-Za-z0-9]{0,59}$/), finite),
    /** The same of single sensors. */
    channels: z.record(id, z.record(z.string().regex(/^[a-z][A-Za-z0-9]{0,59}$/), finite)).optional(),
  }),
} as const;

/** Names of the messages: the `type` field of every envelope. */
export type MessageType = keyof typeof schemas;
/** A checked message of a type, as `schemas` says it field by field. */
export type Message<T extends MessageType> = z.infer<(typeof schemas)[T]>;
/** cloud -> all, retained: the current version of a model, signed. */
export type Manifest = Message<'manifest'>;
/** cloud -> edges, retained: the open round with its hyper-parameters and codec, or the last closed one; signed. */
export type RoundMessage = Message<'round'>;
/** edge -> cloud, retained, also the last will: whether an edge is there, and what it holds. */
export type StatusMessage = Message<'status'>;
/** edge -> cloud: one chunk of an update blob. */
export type UpdateChunk = Message<'update'>;
/** edge -> cloud: one chunk of samples or activations that a site shares by opt-in. */
export type ShareChunk = Message<'share'>;
/** cloud -> edge: what became of an update: accepted, rejected with a reason, or which chunks are missing. */
export type Receipt = Message<'receipt'>;
/** edge -> cloud: what an edge measured of a training, an adoption, its data or its inference. */
export type MetricsMessage = Message<'metrics'>;
/** sensor -> edge: one sample to be put through the model in service. */
export type RequestMessage = Message<'request'>;
/** edge -> sensor: what the model says of a sample or a window, or why there is no answer. */
export type ResultMessage = Message<'result'>;

type Body<T extends MessageType> = Omit<Message<T>, 'v' | 'type'>;

/**
 * Encodes a message as MessagePack. It is checked first, so that nobody sends what would be refused.
 * @throws ProtocolError `schema` that names the field.
 */
export function encodeMessage<T extends MessageType>(type: T, body: Body<T>): Uint8Array {
  return pack(check(type, { v: SCHEMA_VERSION, type, ...body }));
}

/**
 * Decodes and checks a message.
 * @param maxBytes longer payloads are refused unread; default 1 MiB.
 * @throws ProtocolError `too-large`, `not-messagepack`, `schema-version` or `schema`.
 */
export function decodeMessage<T extends MessageType>(type: T, payload: Uint8Array, maxBytes = 1 << 20): Message<T> {
  if (payload.length > maxBytes) {
    throw new ProtocolError('too-large', `${type} message of ${payload.length} bytes; the limit is ${maxBytes}`);
  }
  return check(type, unpack(payload));
}

function check<T extends MessageType>(type: T, value: unknown): Message<T> {
  if (typeof value !== 'object' || value === null || !('v' in value)) {
    throw new ProtocolError('schema', `${type}: expected a map with "v" and "type"`);
  }
  if (value.v !== SCHEMA_VERSION) {
    throw new ProtocolError(
      'schema-version',
      `${type}: schema version ${String(value.v)}; this peer speaks ${SCHEMA_VERSION}`,
    );
  }
  const result = schemas[type].safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new ProtocolError('schema', `${type}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  return result.data as Message<T>;
}
