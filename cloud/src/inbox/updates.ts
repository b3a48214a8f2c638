import {
  codec,
  decodeMessage,
  decodeUpdate,
  type Layout,
  ProtocolError,
  type UpdateChunk,
  type UpdateHeader,
} from '@ecavg/protocol';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import { type BlobKind, checkIdentity, MAX_MESSAGE_BYTES } from './receiver.js';
import type { RoundStore } from './roundStore.js';
import type { Slices } from './slices.js';

/** Room for a header and a codec's overhead around float32 values. */
const SLACK_BYTES = 128 * 1024;

export interface UpdateParts {
  readonly fleet: string;
  readonly model: string;
  readonly layout: Layout;
  readonly slices: Slices;
  readonly store: RoundStore;
  readonly keys: EdgeKeys;
  /** Whether edges code their updates with the one before as reference. */
  readonly temporal: boolean;
  /** @throws ProtocolError where the cloud does not want this update now. */
  admit(chunk: UpdateChunk): void;
  /** Called for every update that is on disk. */
  accepted(header: UpdateHeader, bytes: number): Promise<void> | void;
}

/** Weight updates, as they are received; they count once they are in the round store. */
export function updateKind(parts: UpdateParts): BlobKind<UpdateChunk, UpdateHeader> {
  const { model, layout, store } = parts;
  return {
    kind: 'update',
    model,
    maxBytes: layout.total * 4 + SLACK_BYTES,
    decode: (payload) => decodeMessage('update', payload, MAX_MESSAGE_BYTES),
    isHere({ id, edge, round }) {
      const known = store.acceptedId(round, edge);
      if (known && known !== id)
        throw new ProtocolError('duplicate', `round ${round} already has update ${known} of ${edge}`);
      return known === id;
    },
    admit: (chunk) => parts.admit(chunk),
    check: (blob, chunk) => check(parts, blob, chunk),
    store: (header, blob, { id }) => store.accept(id, header, blob),
    taken: (header, bytes) => parts.accepted(header, bytes),
  };
}

/** Checks the header against its envelope and decodes the payload once, so that averaging can't fail on it. */
async function check(parts: UpdateParts, blob: Uint8Array, chunk: UpdateChunk): Promise<UpdateHeader> {
  const { header, payload } = decodeUpdate(blob);
  const { fleet, slices, keys, store } = parts;
  checkIdentity('update', header, chunk, { fields: ['edge', 'model', 'round', 'base'], fleet });
  const layout = header.width === undefined ? parts.layout : (await slices.of(header.width)).layout;
  if (header.layout !== layout.hash) {
    throw new ProtocolError(
      'layout-mismatch',
      `tensor names or shapes differ: layout ${header.layout}, the model has ${layout.hash}`,
    );
  }
  await keys.check(header.edge, header.key);
  const coder = codec(header.codec);
  const { references } = store;
  const used = coder.referenceOf?.(payload);
  const reference = used ? await references.get(header.edge, used, layout.total) : undefined;
  if (coder.levels && parts.temporal) {
    await references.put(header.edge, coder.levels(payload, layout, reference), used);
  } else coder.check(payload, layout, reference);
  return header;
}
