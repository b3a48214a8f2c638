import { createHash } from 'node:crypto';
import { ArgumentError, ProtocolError } from '../errors.js';
import type { Layout, TensorSlot } from '../layout.js';
import { checkFinite, option } from './common.js';
import { decodeFloats, encodeFloats, type FloatModels, floatModels } from './floats.js';
import { decodeIntegers, encodeIntegers, type IntegerModels, type IntegerShape, integerModels } from './integers.js';
import {
  ceilBfloat16,
  fromBfloat16,
  magnitudeOfRank,
  peak,
  quantise,
  rms,
  ternarise,
  toBfloat16,
  usableStep,
} from './quantise.js';
import { RangeDecoder, RangeEncoder } from './rangeCoder.js';
import type { CodecOptions, Reference, UpdateCodec } from './types.js';

/** First byte of a payload, and the flag in the second one that says a reference's hash follows. */
const FORMAT = 1;
const REFERENCE = 1;
const HASH_BYTES = 8;

/** What follows for a tensor, in 3 bits; a fourth says that it is small, and has statistics of its own kind. */
const KIND = { zero: 0, uniform: 1, perRow: 2, ternary: 3, float: 4 } as const;
const SMALL = 8;

/**
 * At least this share of a tensor's values is sent. With a coarse step every value of a tensor without outliers could be rounded to 0, in
 * each round again, however much error feedback adds up.
 */
const LEAST_SENT = 1 / 512;

/** Rows shorter than this are coded as one: the context of the value above is of no use in so short a row. */
const MIN_COLUMNS = 8;
const MAX_BLOCK = 7;

interface Settings {
  readonly step: number;
  readonly deadZone: number;
  readonly fraction: number;
  readonly bits: number;
  readonly smallStep: number;
  readonly smallBelow: number;
}

/**
 * Quantises each tensor and codes its integers with an adaptive binary range coder (docs/wire-format.md).
 * Options, all numbers:
 * - `step`: of the uniform quantiser, in units of the tensor's root mean square; 0 sends float32 without loss. Default 2.
 * - `deadZone`: share of a step, in [0.5, 1), below which a value is sent as 0. Default 0.5, nearest.
 * - `fraction`: above 0, large tensors keep only the signs of this share of their values (sparse ternary).
 * - `bits`: 8 or 4: large tensors as integers of that many bits with a step for each row (output channel).
 * - `smallStep`: the step of small tensors (biases, norms and statistics cost little and matter much). Default 0.1.
 * - `smallBelow`: a tensor is small where it has one dimension or at most this many values. Default 64.
 */
export const rangeCodec: Required<UpdateCodec> = {
  name: 'range',
  presets: true,

  encode(delta, layout, options, reference) {
    checkFinite(delta, layout);
    const settings = parse(options);
    const out = new RangeEncoder();
    const models = [integerModels(), integerModels()] as const;
    const floats = floatModels();
    const scratch = new Int32Array(Math.max(1, ...layout.tensors.map((t) => t.length)));
    for (const slot of layout.tensors) {
      const values = delta.subarray(slot.offset, slot.offset + slot.length);
      const small = isSmall(slot, settings.smallBelow);
      const levels = reference?.levels.subarray(slot.offset, slot.offset + slot.length);
      encodeTensor({ out, models: models[small ? 1 : 0], floats }, values, slot, small, settings, scratch, levels);
    }
    const body = out.finish();
    const payload = new Uint8Array((reference ? 2 + HASH_BYTES : 2) + body.length);
    payload[0] = FORMAT;
    if (reference) {
      payload[1] = REFERENCE;
      payload.set(Buffer.from(reference.hash, 'hex'), 2);
    }
    payload.set(body, payload.length - body.length);
    return payload;
  },

  referenceOf(payload) {
    return header(payload).reference;
  },

  check(payload, layout, reference) {
    decode(payload, layout, reference, { weight: 1 });
  },

  accumulate(payload, layout, weight, accumulator, reference) {
    if (accumulator.length !== layout.total)
      throw new ArgumentError(
        'ECAVG_PROGRAM',
        `accumulator of ${accumulator.length} values for a layout of ${layout.total}`,
      );
    decode(payload, layout, reference, { weight, accumulator });
  },

  levels(payload, layout, reference) {
    const levels = new Int8Array(layout.total);
    decode(payload, layout, reference, { weight: 1, levels });
    return makeReference(levels);
  },
};

/** Makes levels (one a value of the layout) the reference of an edge's next update: names them by their hash. */
export function makeReference(levels: Int8Array): Reference {
  const bytes = new Uint8Array(levels.buffer, levels.byteOffset, levels.length);
  return {
    hash: createHash('sha256')
      .update(bytes)
      .digest('hex')
      .slice(0, HASH_BYTES * 2),
    levels,
  };
}

function parse(options: CodecOptions): Settings {
  const bits = option(options, 'bits', 0, 0, 8);
  if (![0, 4, 8].includes(bits))
    throw new ArgumentError('ECAVG_MODEL_OPTION', `codec option bits is ${bits}; allowed: 4 and 8, or 0 for none`);
  return {
    step: option(options, 'step', 2, 0, 1000),
    deadZone: option(options, 'deadZone', 0.5, 0.5, 0.999),
    fraction: option(options, 'fraction', 0, 0, 1),
    bits,
    smallStep: option(options, 'smallStep', 0.1, 0, 1000),
    smallBelow: option(options, 'smallBelow', 64, 0, 1e9),
  };
}

function isSmall(slot: TensorSlot, below: number): boolean {
  return slot.shape.length < 2 || slot.length <= below;
}

function columnsOf(slot: TensorSlot): number {
  const columns = slot.length / (slot.shape[0] ?? 1);
  return columns >= MIN_COLUMNS && slot.shape.length > 1 ? columns : slot.length;
}

function nonZeros(levels: Int32Array): number {
  let count = 0;
  for (let i = 0; i < levels.length; i++) if (levels[i] !== 0) count++;
  return count;
}

/** log2 of the size of the blocks that are flagged as all zero. It pays where most values are 0; about 0.7 other values a block is best. */
function blockFor(levels: Int32Array): number {
  const density = Math.max(nonZeros(levels), 1) / levels.length;
  const block = Math.round(Math.log2(0.7 / density));
  return block < 3 ? 0 : Math.min(block, MAX_BLOCK);
}

interface Sink {
  readonly out: RangeEncoder;
  readonly models: IntegerModels;
  readonly floats: FloatModels;
}

function encodeTensor(
  { out, models, floats }: Sink,
  values: Float32Array,
  slot: TensorSlot,
  small: boolean,
  settings: Settings,
  scratch: Int32Array,
  reference: Int8Array | undefined,
): void {
  const levels = scratch.subarray(0, values.length);
  const largest = peak(values);
  const { fraction, bits, deadZone } = settings;
  const relative = small ? settings.smallStep : settings.step;
  const columns = columnsOf(slot);
  const begin = (kind: number): void => out.direct(kind | (small ? SMALL : 0), 4);
  const integers = (ternary: boolean): void => {
    const block = blockFor(levels);
    out.direct(block, 3);
    const shape: IntegerShape = { length: values.length, columns, block, ternary };
    encodeIntegers(out, models, levels, shape, reference);
  };
  if (largest === 0) begin(KIND.zero);
  else if (!small && fraction > 0) {
    const keep = Math.max(1, Math.ceil(fraction * values.length));
    const step = ceilBfloat16(ternarise(values, keep, levels));
    begin(KIND.ternary);
    out.direct(toBfloat16(step), 16);
    integers(true);
  } else if (!small && bits > 0) {
    begin(KIND.perRow);
    for (let row = 0; row < values.length; row += columns) {
      const part = values.subarray(row, row + columns);
      const step = ceilBfloat16(peak(part) / (2 ** (bits - 1) - 1));
      out.direct(toBfloat16(step), 16);
      if (step === 0) levels.fill(0, row, row + columns);
      else quantise(part, step, 0.5, levels, row);
    }
    integers(false);
  } else if (relative > 0) {
    const zone = small ? 0.5 : deadZone;
    let step = usableStep(rms(values) * relative, largest);
    quantise(values, step, zone, levels);
    const least = Math.ceil(values.length * LEAST_SENT);
    if (nonZeros(levels) < least) {
      step = usableStep(magnitudeOfRank(values, least) / zone / 1.01, largest);
      quantise(values, step, zone, levels);
    }
    begin(KIND.uniform);
    out.direct(toBfloat16(step), 16);
    integers(false);
  } else {
    begin(KIND.float);
    encodeFloats(out, floats, values);
  }
}

function header(payload: Uint8Array): { reference: string | undefined; body: number } {
  const flags = payload[1] ?? 0;
  if (payload[0] !== FORMAT || flags > REFERENCE)
    throw new ProtocolError('payload', 'not a range-coded payload of format 1');
  if (flags === 0) return { reference: undefined, body: 2 };
  if (payload.length < 2 + HASH_BYTES)
    throw new ProtocolError('payload', `payload ends at byte ${payload.length}, in its head`);
  return { reference: Buffer.from(payload.subarray(2, 2 + HASH_BYTES)).toString('hex'), body: 2 + HASH_BYTES };
}

interface Target {
  readonly weight: number;
  readonly accumulator?: Float32Array;
  readonly levels?: Int8Array;
}

function decode(payload: Uint8Array, layout: Layout, reference: Reference | undefined, target: Target): void {
  const { reference: wanted, body } = header(payload);
  if (wanted && wanted !== reference?.hash) {
    throw new ProtocolError(
      'reference-mismatch',
      `the update was coded in the light of ${wanted}; known here: ${reference?.hash ?? 'none'}`,
    );
  }
  if (wanted && reference?.levels.length !== layout.total)
    throw new ProtocolError('reference-mismatch', `the reference does not fit a layout of ${layout.total} values`);
  const from = new RangeDecoder(payload, body);
  const models = [integerModels(), integerModels()] as const;
  const floats = floatModels();
  for (const slot of layout.tensors) {
    const levels = wanted ? reference?.levels.subarray(slot.offset, slot.offset + slot.length) : undefined;
    decodeTensor(from, models, floats, slot, target, levels);
  }
  from.end();
}

function decodeTensor(
  from: RangeDecoder,
  models: readonly [IntegerModels, IntegerModels],
  floats: FloatModels,
  slot: TensorSlot,
  target: Target,
  reference: Int8Array | undefined,
): void {
  const head = from.direct(4);
  const kind = head & (SMALL - 1);
  if (kind === KIND.zero) return;
  const { accumulator, weight } = target;
  if (kind === KIND.float) return decodeFloatTensor(from, floats, slot, target);
  const columns = columnsOf(slot);
  const rows = kind === KIND.perRow ? slot.length / columns : 1;
  if (kind > KIND.float) throw new ProtocolError('payload', `tensor ${JSON.stringify(slot.name)} is of kind ${kind}`);
  const steps = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const step = fromBfloat16(from.direct(16));
    // A sign or a NaN; infinity shows below.
    if (!(step >= 0)) throw new ProtocolError('non-finite', `tensor ${JSON.stringify(slot.name)} has step ${step}`);
    steps[row] = step;
  }
  const shape = { length: slot.length, columns, block: from.direct(3), ternary: kind === KIND.ternary };
  const statistics = models[head & SMALL ? 1 : 0];
  const into = { start: slot.offset, steps, weight, accumulator, levels: target.levels };
  const most = decodeIntegers(from, statistics, shape, into, reference);
  if (!Number.isFinite(Math.fround(most)))
    throw new ProtocolError('non-finite', `tensor ${JSON.stringify(slot.name)} overflows float32`);
}

function decodeFloatTensor(from: RangeDecoder, floats: FloatModels, slot: TensorSlot, target: Target): void {
  const { accumulator, levels, weight } = target;
  decodeFloats(from, floats, slot.length, (value, i) => {
    if (!Number.isFinite(value))
      throw new ProtocolError('non-finite', `tensor ${JSON.stringify(slot.name)}[${i}] is ${value}`);
    const at = slot.offset + i;
    if (accumulator) accumulator[at] = (accumulator[at] as number) + weight * value;
    if (levels) levels[at] = value > 0 ? 1 : value < 0 ? -1 : 0;
  });
}
