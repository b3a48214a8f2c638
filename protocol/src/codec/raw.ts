import { ProtocolError } from '../errors.js';
import type { Layout } from '../layout.js';
import { checkFinite, notFinite } from './common.js';
import type { UpdateCodec } from './types.js';

/** Little-endian float32, uncompressed: the baseline that the others are measured against. */
export const rawCodec: UpdateCodec = {
  name: 'raw',
  presets: false,
  encode(delta, layout) {
    checkFinite(delta, layout);
    const out = new Uint8Array(delta.length * 4);
    const view = new DataView(out.buffer);
    for (let i = 0; i < delta.length; i++) view.setFloat32(i * 4, delta[i] as number, true);
    return out;
  },
  check(payload, layout) {
    each(payload, layout, () => undefined);
  },
  accumulate(payload, layout, weight, accumulator) {
    each(payload, layout, (value, i) => {
      accumulator[i] = (accumulator[i] as number) + weight * value;
    });
  },
};

function each(payload: Uint8Array, layout: Layout, take: (value: number, index: number) => void): void {
  if (payload.length !== layout.total * 4) {
    throw new ProtocolError(
      'payload',
      `${payload.length} bytes; ${layout.total} float32 values need ${layout.total * 4}`,
    );
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let i = 0; i < layout.total; i++) {
    const value = view.getFloat32(i * 4, true);
    if (!Number.isFinite(value)) throw notFinite(value, i, layout);
    take(value, i);
  }
}
