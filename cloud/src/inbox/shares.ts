import {
  decodeMessage,
  decodeShare,
  ProtocolError,
  type ShareChunk,
  type ShareHeader,
  shareHeader,
} from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import { type BlobKind, checkIdentity, MAX_MESSAGE_BYTES } from './receiver.js';
import type { ShareStore } from './shareStore.js';

/** Room for a header and labels around the values. */
const SLACK_BYTES = 64 * 1024;

/** What the cloud asks for: shape of a row, most rows of an edge, and for activations the value's name. */
export interface Asked {
  readonly kind: ShareHeader['kind'];
  readonly shape: readonly number[];
  readonly count: number;
  readonly layer?: string;
}

export interface ShareParts {
  readonly fleet: string;
  readonly model: string;
  /** How many there are. */
  readonly classes: number;
  readonly asked: readonly Asked[];
  readonly store: ShareStore;
  readonly keys: EdgeKeys;
  readonly log: Logger;
  /** Whether a version of this sha256 is in force or on trial. */
  isCurrent(sha256: string): boolean;
  /** Called for everything that is on disk. */
  taken(edge: string): void;
}

/** Samples and activations that sites share, as they are received: nothing that the cloud did not ask for. */
export function shareKind(parts: ShareParts): BlobKind<ShareChunk, ShareHeader> {
  const { model, asked, store, log } = parts;
  const size = (a: Asked): number => a.count * (12 + a.shape.reduce((n, d) => n * d, 1));
  return {
    kind: 'share',
    model,
    maxBytes: Math.max(0, ...asked.map(size)) + SLACK_BYTES,
    decode: (payload) => decodeMessage('share', payload, MAX_MESSAGE_BYTES),
    isHere({ edge, id }) {
      if (asked.length === 0) throw new ProtocolError('not-wanted', 'this cloud asks for no samples or features');
      return store.has(edge, id);
    },
    // What was asked for is wanted at any time.
    admit: () => undefined,
    check: (blob, chunk) => check(parts, blob, chunk),
    store: (header, blob) => store.put(header, blob),
    taken({ edge, kind, count }, bytes) {
      log.info({ edge, kind, rows: count, bytes }, 'a site shared');
      parts.taken(edge);
    },
  };
}

async function check(parts: ShareParts, blob: Uint8Array, chunk: ShareChunk): Promise<ShareHeader> {
  const { fleet, classes, asked, keys } = parts;
  const header = shareHeader(blob);
  checkIdentity('share', header, chunk, { fields: ['edge', 'model', 'base'], fleet });
  await keys.check(header.edge, header.key);
  const want = asked.find((a) => a.kind === header.kind);
  if (!want || want.layer !== header.layer || header.count > want.count)
    throw new ProtocolError(
      'not-wanted',
      `${header.count} ${header.kind} of ${header.layer ?? 'the input'} were not asked for`,
    );
  if (want.shape.join() !== header.shape.join())
    throw new ProtocolError(
      'layout-mismatch',
      `rows of shape [${header.shape.join(', ')}]; the model has [${want.shape.join(', ')}]`,
    );
  if (header.kind === 'features' && !parts.isCurrent(header.base))
    throw new ProtocolError(
      'base-mismatch',
      `activations of version ${header.base.slice(0, 12)}, which is not in force`,
    );
  decodeShare(blob, classes);
  return header;
}
