import { ProtocolError } from '../errors.js';
import { bitModels, type RangeDecoder, type RangeEncoder } from './rangeCoder.js';

/*
 * The integers of a quantised tensor as adaptive bits, row by row. A tensor of shape [r, ...] has r rows. What a bit's
 * probability depends on (its context):
 *   block      whether all of a block of 2^b values is zero: the block before it, and the two above it
 *   non-zero   the two values before it, how busy its column was in the rows above, the same place of the reference
 *   sign       the sign before it, the last sign in its column, the sign of the reference
 *   |v| > n    n, the larger of the two magnitudes before it, the magnitude of the reference
 * The reference, where there is one, is what the same edge sent last time.
 */

/** Unary bits of a magnitude before its Exp-Golomb rest. */
const UNARY = 10;
/** Largest magnitude. */
export const MAX_LEVEL = (1 << 24) - 1;
const MAX_PREFIX = 24;

const ABOVE = 8;
const NEAR = 9;
const REF = 3;
const SIGNS = 27;
const MAGNITUDES = 4;

/** Where the levels of busyness begin; the first begins at 0. */
const BUSY = [4, 10, 20, 36, 60, 100, 160];
const LEVEL = Uint8Array.from({ length: 256 }, (_, busy) => BUSY.filter((b) => busy >= b).length);

/** All adaptive state of one message. */
export interface IntegerModels {
  readonly block: Uint16Array;
  readonly nonZero: Uint16Array;
  readonly sign: Uint16Array;
  readonly unary: Uint16Array;
  readonly prefix: Uint16Array;
}

export function integerModels(): IntegerModels {
  return {
    block: bitModels(2 * 4),
    nonZero: bitModels(REF * ABOVE * NEAR),
    sign: bitModels(SIGNS),
    unary: bitModels((UNARY + 1) * MAGNITUDES * MAGNITUDES),
    prefix: bitModels(MAX_PREFIX),
  };
}

/** How integers of a tensor are laid out and what may be left out. */
export interface IntegerShape {
  readonly length: number;
  readonly columns: number;
  /** Blocks of 2^block values are flagged when they are zero; 0: none. */
  readonly block: number;
  /** Magnitudes are 1 and not coded. */
  readonly ternary: boolean;
}

const min = (a: number, b: number): number => (a < b ? a : b);
const magnitude = (v: number): number => (v < 0 ? -v : v);
const sign = (v: number): number => (v > 0 ? 2 : v < 0 ? 1 : 0);

/** What a column remembers of the rows above: how busy it was (0 to 255), and its last sign. */
class Columns {
  readonly busy: Uint8Array;
  readonly signs: Uint8Array;
  readonly blocks: Uint8Array;
  constructor(columns: number, block: number) {
    this.busy = new Uint8Array(columns);
    this.signs = new Uint8Array(columns);
    this.blocks = new Uint8Array(block > 0 ? Math.ceil(columns / (1 << block)) : 1);
  }
}

/** Codes `values` (`shape.length` integers of at most MAX_LEVEL). `reference` has one level a value, or is absent. */
export function encodeIntegers(
  out: RangeEncoder,
  models: IntegerModels,
  values: Int32Array,
  shape: IntegerShape,
  reference?: Int8Array,
): void {
  const { columns, block } = shape;
  const memory = new Columns(columns, block);
  const width = block > 0 ? 1 << block : columns;
  for (let row = 0; row < shape.length; row += columns) {
    let [before, before2, blockBefore] = [0, 0, 0];
    for (let from = 0; from < columns; from += width) {
      const to = min(from + width, columns);
      if (block > 0) {
        let any = 0;
        for (let c = from; c < to && any === 0; c++) if (values[row + c] !== 0) any = 1;
        const b = from >> block;
        const above = memory.blocks[b] as number;
        out.bit(models.block, blockBefore * 4 + above, any);
        memory.blocks[b] = ((above << 1) | any) & 3;
        blockBefore = any;
        if (any === 0) {
          before = 0;
          before2 = 0;
          continue;
        }
      }
      for (let c = from; c < to; c++) {
        const v = values[row + c] as number;
        const r = reference ? (reference[row + c] as number) : 0;
        const busy = memory.busy[c] as number;
        const near = min(2, magnitude(before)) * 3 + min(2, magnitude(before2));
        out.bit(
          models.nonZero,
          (min(2, magnitude(r)) * ABOVE + (LEVEL[busy] as number)) * NEAR + near,
          v === 0 ? 0 : 1,
        );
        if (v === 0) memory.busy[c] = busy - (busy >> 4);
        else {
          memory.busy[c] = busy + ((270 - busy) >> 4);
          out.bit(models.sign, (sign(before) * 3 + (memory.signs[c] as number)) * 3 + sign(r), v < 0 ? 1 : 0);
          memory.signs[c] = sign(v);
          if (!shape.ternary) {
            const larger = min(3, magnitude(before) > magnitude(before2) ? magnitude(before) : magnitude(before2));
            encodeMagnitude(out, models, magnitude(v), larger * MAGNITUDES + min(3, magnitude(r)));
          }
        }
        before2 = before;
        before = v;
      }
    }
  }
}

function encodeMagnitude(out: RangeEncoder, models: IntegerModels, value: number, context: number): void {
  for (let n = 1; n <= UNARY; n++) {
    const more = value > n ? 1 : 0;
    out.bit(models.unary, n * MAGNITUDES * MAGNITUDES + context, more);
    if (more === 0) return;
  }
  // Exp-Golomb of what is left, from 0: as many ones as bits follow.
  const rest = value - UNARY;
  const bits = 31 - Math.clz32(rest);
  for (let i = 0; i < bits; i++) out.bit(models.prefix, i, 1);
  out.bit(models.prefix, bits, 0);
  out.direct(rest, bits);
}

/**
 * Decodes what encodeIntegers wrote and, as it goes, adds: `accumulator[start + i] += value[i] * step * weight`, where each
 * row may have a step of its own. Without an accumulator it only checks. `levels`, where given, receives each
 * value held to [-127, 127]. Returns the largest magnitude times its step.
 */
export function decodeIntegers(
  from: RangeDecoder,
  models: IntegerModels,
  shape: IntegerShape,
  target: {
    readonly start: number;
    /** One for all rows, or one a row. */
    readonly steps: Float64Array;
    readonly weight: number;
    readonly accumulator?: Float32Array | undefined;
    readonly levels?: Int8Array | undefined;
  },
  reference?: Int8Array,
): number {
  const { columns, block, ternary } = shape;
  const { accumulator, levels, steps, weight, start } = target;
  const memory = new Columns(columns, block);
  const { busy: busyOf, signs, blocks } = memory;
  const width = block > 0 ? 1 << block : columns;
  let most = 0;
  let rowNumber = 0;
  for (let row = 0; row < shape.length; row += columns) {
    const step = steps[steps.length === 1 ? 0 : rowNumber++] as number;
    const factor = step * weight;
    let largest = 1;
    let [before, before2, blockBefore] = [0, 0, 0];
    for (let begin = 0; begin < columns; begin += width) {
      const end = min(begin + width, columns);
      if (block > 0) {
        const b = begin >> block;
        const above = blocks[b] as number;
        blockBefore = from.bit(models.block, blockBefore * 4 + above);
        blocks[b] = ((above << 1) | blockBefore) & 3;
        if (blockBefore === 0) {
          before = 0;
          before2 = 0;
          continue;
        }
      }
      for (let c = begin; c < end; c++) {
        const r = reference ? (reference[row + c] as number) : 0;
        const busy = busyOf[c] as number;
        const near = min(2, magnitude(before)) * 3 + min(2, magnitude(before2));
        let v = from.bit(models.nonZero, (min(2, magnitude(r)) * ABOVE + (LEVEL[busy] as number)) * NEAR + near);
        if (v === 0) busyOf[c] = busy - (busy >> 4);
        else {
          busyOf[c] = busy + ((270 - busy) >> 4);
          const negative = from.bit(models.sign, (sign(before) * 3 + (signs[c] as number)) * 3 + sign(r));
          signs[c] = negative ? 1 : 2;
          if (!ternary) {
            const larger = min(3, magnitude(before) > magnitude(before2) ? magnitude(before) : magnitude(before2));
            v = decodeMagnitude(from, models, larger * MAGNITUDES + min(3, magnitude(r)));
            if (v > largest) largest = v;
          }
          if (negative) v = -v;
          const at = start + row + c;
          if (accumulator) accumulator[at] = (accumulator[at] as number) + v * factor;
          if (levels) levels[at] = v > 127 ? 127 : v < -127 ? -127 : v;
        }
        before2 = before;
        before = v;
      }
    }
    if (largest * step > most) most = largest * step;
  }
  return most;
}

function decodeMagnitude(from: RangeDecoder, models: IntegerModels, context: number): number {
  for (let n = 1; n <= UNARY; n++) {
    if (from.bit(models.unary, n * MAGNITUDES * MAGNITUDES + context) === 0) return n;
  }
  let bits = 0;
  while (from.bit(models.prefix, bits) === 1) {
    if (++bits >= MAX_PREFIX) throw new ProtocolError('payload', `a value above ${MAX_LEVEL}`);
  }
  return UNARY + ((1 << bits) | from.direct(bits));
}
