import { ProtocolError } from '../errors.js';
import type { Layout } from '../layout.js';
import { brotli, checkFinite, checkScale, int8Scale, option, toInt8, unbrotli } from './common.js';
import type { UpdateCodec } from './types.js';

/**
 * Symmetric int8 with one scale a tensor, then Brotli.
 * Before Brotli: a float32 scale for each tensor, then every tensor's int8 values, in layout order.
 * Options: `quality`, Brotli's 0-11 (default 6).
 */
export const int8Codec: UpdateCodec = {
  name: 'int8-brotli',
  presets: false,
  encode(delta, layout, options) {
    checkFinite(delta, layout);
    const scales = layout.tensors.length * 4;
    const out = new Uint8Array(scales + layout.total);
    const view = new DataView(out.buffer);
    layout.tensors.forEach((slot, t) => {
      const scale = int8Scale(delta, slot.offset, slot.length);
      view.setFloat32(t * 4, scale, true);
      for (let i = slot.offset; i < slot.offset + slot.length; i++) {
        view.setInt8(scales + i, toInt8(delta[i] as number, scale));
      }
    });
    return brotli(out, option(options, 'quality', 6, 0, 11));
  },
  check(payload, layout) {
    open(payload, layout);
  },
  accumulate(payload, layout, weight, accumulator) {
    const { scales, values } = open(payload, layout);
    layout.tensors.forEach((slot, t) => {
      const factor = weight * (scales[t] as number);
      for (let i = slot.offset; i < slot.offset + slot.length; i++) {
        accumulator[i] = (accumulator[i] as number) + factor * (values[i] as number);
      }
    });
  },
};

function open(payload: Uint8Array, layout: Layout): { scales: number[]; values: Int8Array } {
  const scaleBytes = layout.tensors.length * 4;
  const bytes = unbrotli(payload, scaleBytes + layout.total);
  if (bytes.length !== scaleBytes + layout.total) {
    throw new ProtocolError(
      'payload',
      `${bytes.length} bytes after Brotli; the layout needs ${scaleBytes + layout.total}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scales = layout.tensors.map((slot, t) => {
    const scale = view.getFloat32(t * 4, true);
    checkScale(scale, slot.name);
    return scale;
  });
  return { scales, values: new Int8Array(bytes.buffer, bytes.byteOffset + scaleBytes, layout.total) };
}
