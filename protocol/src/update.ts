import { z } from 'zod';
import { type Seal, seal, unseal } from './sealed.js';
import type { Signer } from './signing.js';
import { IDENTIFIER } from './topics.js';

const count = z.int().min(0);
const headerSchema = z.object({
  fleet: z.string().regex(IDENTIFIER),
  edge: z.string().regex(IDENTIFIER),
  model: z.string().regex(IDENTIFIER),
  round: z.int().min(1),
  /** sha256 of the base model's inference ONNX. */
  base: z.string().regex(/^[0-9a-f]{64}$/),
  codec: z.string().max(40),
  layout: z.string().regex(/^[0-9a-f]{16}$/),
  /** Training samples n_k, the FedAvg weight. */
  samples: z.int().min(1).max(1e12),
  /** Optimiser steps taken since the base (tau_k of FedNova). */
  steps: count,
  createdAt: z.number().min(0),
  /** Share of the hidden units that this edge trains, where not all; `layout` is then that of the slice (HeteroFL). */
  width: z.number().gt(0).lt(1).optional(),
  /** Samples of each class, maybe with noise; only where the site allows it. */
  labels: z.array(z.number().min(0)).max(10_000).optional(),
  /** Ed25519 public key of the edge, hex. */
  key: z.string().regex(/^[0-9a-f]{64}$/),
  /** Accuracies in [0, 1], losses, seconds. */
  metrics: z.record(z.string().max(60), z.number()),
});

/** What an edge says of its update; travels inside the hashed blob. */
export type UpdateHeader = z.infer<typeof headerSchema>;

const SEAL: Seal<UpdateHeader> = { magic: [0x45, 0x41, 0x55, 2], what: 'an update', header: headerSchema };

/**
 * An update blob: `EAU` 2, header, payload of the codec that the header names, signature (docs/wire-format.md).
 * @throws ZodError where a field of the header is off.
 */
export const encodeUpdate = (header: Omit<UpdateHeader, 'key'>, payload: Uint8Array, signer: Signer): Uint8Array =>
  seal(SEAL, header, payload, signer);

/**
 * The checked header of an update blob, and its payload as a view of the blob.
 * @throws ProtocolError `payload`, `not-messagepack`, `schema`, or `bad-signature` where it is not signed with the key that it names.
 */
export const decodeUpdate = (blob: Uint8Array): { header: UpdateHeader; payload: Uint8Array } => unseal(SEAL, blob);
