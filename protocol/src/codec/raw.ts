import { ProtocolError } from '../errors.js';
import type { Layout } from '../layout.js';
import { checkFinite } from './common.js';
import type { DecodedUpdate, UpdateCodec } from './types.js';

/** Little-endian float32, uncompressed: the baseline that the others are measured against. */
export const rawCodec: UpdateCodec = {
  name: 'raw',
  encode(delta, layout) {
    checkFinite(delta, layout);
    const out = new Uint8Array(delta.length * 4);
    const view = new DataView(out.buffer);
    for (let i = 0; i < delta.length; i++) view.setFloat32(i * 4, delta[i] as number, true);
    return out;
  },
  decode(payload: Uint8Array, layout: Layout): DecodedUpdate {
    if (payload.length !== layout.total * 4) {
      throw new ProtocolError(
        'payload',
        `${payload.length} bytes; ${layout.total} float32 values need ${layout.total * 4}`,
      );
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const values = new Float32Array(layout.total);
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(i * 4, true);
    checkFinite(values, layout);
    return {
      addTo(accumulator, weight) {
        for (let i = 0; i < values.length; i++)
          accumulator[i] = (accumulator[i] as number) + weight * (values[i] as number);
      },
    };
  },
};
