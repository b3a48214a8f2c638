import { ProtocolError } from '../errors.js';
import { int8Codec } from './int8.js';
import { rangeCodec } from './range.js';
import { rawCodec } from './raw.js';
import { topkCodec } from './topk.js';
import type { UpdateCodec } from './types.js';

/** Every codec of this build, by the name used in config and on the wire. */
export const CODECS: Readonly<Record<string, UpdateCodec>> = Object.fromEntries(
  [rangeCodec, rawCodec, int8Codec, topkCodec].map((c) => [c.name, c]),
);

/** The codec of a name. @throws ProtocolError `unknown-codec` that names those there are. */
export function codec(name: string): UpdateCodec {
  const found = Object.hasOwn(CODECS, name) ? CODECS[name] : undefined;
  if (!found) {
    throw new ProtocolError(
      'unknown-codec',
      `no codec ${JSON.stringify(name.slice(0, 40))}: there are ${Object.keys(CODECS).join(', ')}`,
    );
  }
  return found;
}
