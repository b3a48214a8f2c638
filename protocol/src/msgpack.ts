import { Packr } from 'msgpackr';
import { ProtocolError } from './errors.js';

// Plain maps and `bin`, no msgpackr records or extensions: any MessagePack library can read the wire.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

const MAX_DEPTH = 16;

/** Encodes a plain value (objects, arrays, texts, numbers, booleans, null, bytes) as MessagePack. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * Walks the structure without building anything and checks that every declared length can be there.
 * A decoder that allocates by the declared count would let five bytes ask for gigabytes.
 */
function checkStructure(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const fail = (why: string): never => {
    throw new ProtocolError('not-messagepack', `not MessagePack at byte ${at}: ${why}`);
  };
  const need = (n: number): void => {
    if (n > bytes.length - at) fail(`${n} more bytes declared, ${bytes.length - at} left`);
  };
  const size = (width: 1 | 2 | 4): number => {
    need(width);
    const n = width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
    at += width;
    return n;
  };
  const skip = (n: number): void => {
    need(n);
    at += n;
  };
  const items = (count: number, depth: number): void => {
    need(count);
    if (depth >= MAX_DEPTH) fail(`nested deeper than ${MAX_DEPTH}`);
    for (let i = 0; i < count; i++) value(depth + 1);
  };
  const value = (depth: number): void => {
    need(1);
    const t = view.getUint8(at++);
    if (t <= 0x7f || t >= 0xe0) return;
    if (t <= 0x8f) return items((t & 0x0f) * 2, depth);
    if (t <= 0x9f) return items(t & 0x0f, depth);
    if (t <= 0xbf) return skip(t & 0x1f);
    switch (t) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return;
      case 0xc4:
      case 0xd9:
        return skip(size(1));
      case 0xc5:
      case 0xda:
        return skip(size(2));
      case 0xc6:
      case 0xdb:
        return skip(size(4));
      case 0xcc:
      case 0xd0:
        return skip(1);
      case 0xcd:
      case 0xd1:
        return skip(2);
      case 0xce:
      case 0xd2:
      case 0xca:
        return skip(4);
      case 0xcf:
      case 0xd3:
      case 0xcb:
        return skip(8);
      case 0xdc:
        return items(size(2), depth);
      case 0xdd:
        return items(size(4), depth);
      case 0xde:
        return items(size(2) * 2, depth);
      case 0xdf:
        return items(size(4) * 2, depth);
      default:
        fail(`type byte 0x${t.toString(16)} (extensions are not used here)`);
    }
  };
  value(0);
  if (at !== bytes.length) fail(`${bytes.length - at} bytes after the value`);
}

/**
 * Decodes one MessagePack value. Lengths are checked against the bytes that are there before anything is allocated.
 * @throws ProtocolError `not-messagepack` for anything else, extensions and values nested deeper than 16 included.
 */
export function unpack(bytes: Uint8Array): unknown {
  checkStructure(bytes);
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new ProtocolError('not-messagepack', `not MessagePack: ${(cause as Error).message}`, { cause });
  }
}
