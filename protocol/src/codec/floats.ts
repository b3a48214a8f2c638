import { bitModels, type RangeDecoder, type RangeEncoder } from './rangeCoder.js';

/*
 * float32 values without loss: the exponent as a tree of adaptive bits, in the context of the exponent before it
 * (values of a tensor are of like size); sign and fraction as they are.
 */
const EXPONENTS = 256;
const NEIGHBOURS = 4;

export type FloatModels = Uint16Array;

export function floatModels(): FloatModels {
  return bitModels(EXPONENTS * NEIGHBOURS);
}

/** 0: the first value or zero; else by how far the exponent lies under the largest so far. */
function neighbour(before: number, largest: number): number {
  if (before === 0) return 0;
  const under = largest - before;
  return under < 2 ? 1 : under < 5 ? 2 : 3;
}

export function encodeFloats(out: RangeEncoder, models: FloatModels, values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let [before, largest] = [0, 0];
  for (const word of bits) {
    const exponent = (word >>> 23) & 0xff;
    const base = neighbour(before, largest) * EXPONENTS;
    for (let i = 7, node = 1; i >= 0; i--) {
      const bit = (exponent >>> i) & 1;
      out.bit(models, base + node, bit);
      node = (node << 1) | bit;
    }
    out.direct(word >>> 31, 1);
    out.direct(word & 0x7fffff, 23);
    before = exponent;
    if (exponent > largest) largest = exponent;
  }
}

/** Calls `take` with every value and its index. Non-finite values are passed on: the caller refuses them. */
export function decodeFloats(
  from: RangeDecoder,
  models: FloatModels,
  length: number,
  take: (value: number, index: number) => void,
): void {
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  let [before, largest] = [0, 0];
  for (let i = 0; i < length; i++) {
    const base = neighbour(before, largest) * EXPONENTS;
    let node = 1;
    while (node < EXPONENTS) node = (node << 1) | from.bit(models, base + node);
    const exponent = node - EXPONENTS;
    const sign = from.direct(1);
    word[0] = ((sign << 31) | (exponent << 23) | from.direct(23)) >>> 0;
    take(float[0] as number, i);
    before = exponent;
    if (exponent > largest) largest = exponent;
  }
}
