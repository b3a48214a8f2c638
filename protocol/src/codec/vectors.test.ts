import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { makeLayout } from '../layout.js';
import { PRESETS } from './presets.js';
import { makeReference, rangeCodec } from './range.js';
import type { CodecOptions } from './types.js';

/**
 * Payloads that every implementation of docs/wire-format.md decodes to the same values;
 * bench/peers/decode_vectors.py is another one. `ECAVG_WRITE_VECTORS=1` writes them anew after a change of the format.
 */
const FILE = fileURLToPath(new URL('../../fixtures/codec-vectors.json', import.meta.url));
const schema = z.array(
  z.object({
    name: z.string(),
    tensors: z.array(z.object({ name: z.string(), shape: z.array(z.int()) })),
    options: z.record(z.string(), z.number()),
    values: z.array(z.number()),
    /** Levels of the update before, where the payload was coded in their light. */
    reference: z.array(z.int()).nullable(),
    payload: z.string(),
    /** What the payload decodes to, each an exact float32. */
    decoded: z.array(z.number()),
  }),
);
type Vector = z.output<typeof schema>[number];

const tensors = [
  { name: 'dense', shape: [6, 20] },
  { name: 'conv', shape: [4, 2, 3, 3] },
  { name: 'bias', shape: [6] },
  { name: 'scalar', shape: [] },
  { name: 'still', shape: [3] },
];
const layout = makeLayout(tensors);
const values = Float32Array.from({ length: layout.total }, (_, i) => {
  const x = ((i * 2_654_435_761) % 4_294_967_296) / 4_294_967_296 - 0.5;
  return i >= layout.total - 3 ? 0 : 64 * x ** 7;
});
values[7] = 3.5;
const reference = Int8Array.from(values, (v) => Math.max(-127, Math.min(127, Math.round(v * 8))));

const CASES: Record<string, { options: CodecOptions; light: boolean }> = {
  ...Object.fromEntries(Object.entries(PRESETS).map(([name, options]) => [name, { options, light: false }])),
  'in the light of an earlier update': { options: { step: 1 }, light: true },
  'integers of 8 bits, a step for each row': { options: { bits: 8 }, light: false },
  'large levels': { options: { step: 0.004, smallStep: 0.004 }, light: false },
};

function make(name: string): Vector {
  const { options, light } = CASES[name] as (typeof CASES)[string];
  const known = light ? makeReference(reference) : undefined;
  const payload = rangeCodec.encode(values, layout, options, known);
  const decoded = new Float32Array(layout.total);
  rangeCodec.accumulate(payload, layout, 1, decoded, known);
  return {
    name,
    tensors,
    options,
    values: [...values],
    reference: light ? [...reference] : null,
    payload: Buffer.from(payload).toString('hex'),
    decoded: [...decoded],
  };
}

if (process.env.ECAVG_WRITE_VECTORS) {
  writeFileSync(FILE, `${JSON.stringify(Object.keys(CASES).map(make))}\n`);
}

describe('golden vectors of the codec', () => {
  const vectors = schema.parse(JSON.parse(readFileSync(FILE, 'utf8')));
  test('there is one for each case', () => {
    assert.deepEqual(
      vectors.map((v) => v.name),
      Object.keys(CASES),
    );
  });
  for (const vector of vectors) {
    test(vector.name, () => {
      assert.deepEqual(make(vector.name), vector);
    });
  }
});
