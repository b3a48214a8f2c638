import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeLayout } from '@ecavg/protocol';
import { permutationGroups } from '../align/groups.js';
import { permute } from '../align/match.js';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, type ModelProto, serializeModel } from '../onnx/model.js';
import { probeModel } from '../onnx/probe.js';
import { floatTensorOf } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { Random } from '../random.js';
import { extractWeights, withWeights } from '../weights.js';
import { familyCases } from './families.cases.js';
import { BATCH, type Case, volume } from './make.cases.js';
import { FAMILIES } from './table.js';

/** The case's layers between two layers with weights, so that hidden units enter them and leave them. */
async function between({ sample, opset, build }: Case): Promise<ModelProto> {
  const random = new Random(3, 'units');
  const make = async (width: number): Promise<ModelProto> => {
    const b = new GraphBuilder('case/');
    const param = (name: string, dims: number[], positive = false): string =>
      b.weights(
        name,
        dims,
        Float32Array.from({ length: volume(dims) }, () => {
          const v = random.normal();
          return positive ? 0.5 + v * v : v * 0.5;
        }),
      );
    const x = b.input('x', DataType.FLOAT, ['N', ...sample]);
    const [channels = 1, ...rest] = sample;
    const first = param('first', [channels, channels, ...rest.map(() => 1)]);
    const hidden = rest.length === 0 ? b.op('Gemm', [x, first], { transB: 1 }) : b.op('Conv', [x, first]);
    const out = b.op('Flatten', [build(b, hidden, param)]);
    const last = width === 0 ? out : b.op('Gemm', [out, param('last', [width, 3])]);
    b.output(last, DataType.FLOAT, []);
    return b.model({ name: 'units', ...(opset && { opset }) });
  };
  const open = await make(0);
  const probe = await probeModel(open, 'x', [BATCH, ...sample]);
  return make(probe.shape(open.graph?.output[0]?.name ?? '')[1] ?? 0);
}

async function outputOf(model: ModelProto, sample: readonly number[]): Promise<Float32Array> {
  const session = await openSession(serializeModel(model), 1, 'a case');
  const random = new Random(5, 'units');
  const x = Float32Array.from({ length: BATCH * volume(sample) }, () => random.normal());
  const out = await session.run({ x: floatTensorOf(x, [BATCH, ...sample]) });
  await session.release();
  return Object.values(out)[0]?.data as Float32Array;
}

/** Puts the units of every group in another order; returns how many groups there are. */
async function check(c: Case): Promise<number> {
  const model = await between(c);
  const groups = await permutationGroups(model, c.sample);
  const floats = (model.graph?.initializer ?? []).filter((t) => t.dataType === DataType.FLOAT && t.dims.length > 0);
  const layout = makeLayout(floats.map((t) => ({ name: t.name, shape: t.dims.map(Number) })));
  const weights = extractWeights(model, layout);
  for (const group of groups) {
    // Around by one: no unit stays in its place.
    const order = Int32Array.from({ length: group.size }, (_, i) => (i + 1) % group.size);
    permute(layout, weights, group, order);
  }
  const [before, after] = [
    await outputOf(model, c.sample),
    await outputOf(withWeights(model, layout, weights), c.sample),
  ];
  const scale = Math.max(...before.map(Math.abs)) + 1e-3;
  before.forEach((v, i) => {
    assert.ok(Math.abs(v - (after[i] ?? Number.NaN)) < 1e-4 * scale, `${c.name}: output ${i} was ${v}, is ${after[i]}`);
  });
  return groups.length;
}

describe('hidden units pass through an op as its record says: in another order, the model computes the same', () => {
  for (const [family, ops] of Object.entries(FAMILIES)) {
    const known: Readonly<Record<string, readonly Case[]>> = familyCases[family as keyof typeof FAMILIES];
    for (const [op, { units }] of Object.entries(ops)) {
      if (units === 'stops') continue;
      test(`${op}: ${units}`, async () => {
        let groups = 0;
        for (const c of known[op] ?? []) if (!c.fixedBatch) groups += await check(c);
        assert.ok(groups > 0, `no case of ${op} lets hidden units pass`);
      });
    }
  }
});
