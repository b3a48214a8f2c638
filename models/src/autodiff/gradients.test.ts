import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, ModelError, serializeModel } from '../onnx/model.js';
import { floatTensorOf, intTensorOf, type Tensor } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { familyCases } from '../ops/families.cases.js';
import { type Batch, type Case, makeCase, volume } from '../ops/make.cases.js';
import { FAMILIES } from '../ops/table.js';
import { cases } from './gradients.cases.js';
import { type TrainingInfo, trainingInfo } from './info.js';
import { STEP } from './step.js';
import { buildTrainingGraph } from './trainingGraph.js';

/** Compares every parameter's gradient with central finite differences of the loss along random directions. */
async function check(c: Case): Promise<void> {
  const { model, weights, options, noise, batch } = makeCase(c);
  const graph = await buildTrainingGraph(model, options);
  const info = trainingInfo(graph);
  const session = await openSession(serializeModel(graph), 1, 'case');
  const feeds = fixedFeeds(info, batch(info));
  const run = async (values: ReadonlyMap<string, Float32Array>) => {
    const all: Record<string, Tensor> = { ...feeds };
    for (const { name, shape } of [...info.parameters, ...info.buffers]) {
      all[name] = floatTensorOf(values.get(name) as Float32Array, shape);
    }
    for (const { name, shape } of info.state) {
      all[name] = floatTensorOf(new Float32Array(volume(shape)), shape);
    }
    return session.run(all);
  };
  const at = await run(weights);
  for (const { name } of info.parameters) {
    const gradient = at[`${name}:grad`]?.data as Float32Array;
    for (let trial = 0; trial < 3; trial++) {
      const direction = noise(gradient.length);
      const exact = gradient.reduce((a, g, i) => a + g * (direction[i] as number), 0);
      const epsilon = 5e-4;
      const lossAt = async (sign: number): Promise<number> => {
        const moved = (weights.get(name) as Float32Array).map((w, i) => w + sign * epsilon * (direction[i] as number));
        return Number((await run(new Map([...weights, [name, moved]])))[STEP.loss]?.data[0]);
      };
      const numeric = ((await lossAt(1)) - (await lossAt(-1))) / (2 * epsilon);
      assert.ok(Number.isFinite(numeric) && Number.isFinite(exact));
      const scale = Math.sqrt(gradient.reduce((a, g) => a + g * g, 0)) + 0.05;
      assert.ok(Math.abs(numeric - exact) < 0.01 * scale, `${name}: ${exact} by rule, ${numeric} by differences`);
    }
  }
  await session.release();
}

function fixedFeeds(info: TrainingInfo, { x, y, weight, masks }: Batch): Record<string, Tensor> {
  const float = floatTensorOf;
  return {
    ...Object.fromEntries(info.masks.map(({ name, shape }) => [name, float(masks.get(name) as Float32Array, shape)])),
    x: float(x, info.input.shape),
    [STEP.target]: y instanceof Int32Array ? intTensorOf(y, [y.length]) : float(y, info.output.shape),
    [STEP.weight]: float(weight, [weight.length]),
    [STEP.learningRate]: float(Float32Array.of(0), []),
    [STEP.momentum]: float(Float32Array.of(0), []),
  };
}

describe('gradients agree with finite differences', () => {
  for (const c of cases) test(c.name, () => check(c));

  test('no two cases have one name', () => {
    const names = cases.map((c) => c.name);
    assert.deepEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
  });

  // What the types ask for, said once more by name: a build that went wrong must not hide it.
  for (const [family, ops] of Object.entries(FAMILIES)) {
    for (const op of Object.keys(ops)) {
      test(`${op} has cases with nodes of it`, () => {
        const known: Readonly<Record<string, readonly Case[]>> = familyCases[family as keyof typeof FAMILIES];
        const mine = known[op] ?? [];
        assert.ok(mine.length > 0, `${op} has no case in models/src/ops/${family}.cases.ts`);
        for (const c of mine) {
          assert.ok(
            makeCase(c).model.graph?.node.some((n) => n.opType === op),
            `the case ${JSON.stringify(c.name)} has no ${op} node`,
          );
          assert.ok(cases.includes(c));
        }
      });
    }
  }

  test('no op stands in two families', () => {
    const names = Object.values(FAMILIES).flatMap((ops) => Object.keys(ops));
    assert.equal(new Set(names).size, names.length);
  });
});

describe('models that cannot be trained are refused in one sentence', () => {
  const build = (emit: (b: GraphBuilder, x: string) => string, outputs = 1) => {
    const b = new GraphBuilder();
    const x = b.input('x', DataType.FLOAT, ['N', 4]);
    const h = b.op('Gemm', [x, b.weights('w', [4, 4], new Float32Array(16).fill(0.1))]);
    const out = emit(b, h);
    for (let i = 0; i < outputs; i++) b.output(i === 0 ? out : h, DataType.FLOAT, []);
    return buildTrainingGraph(b.model({ name: 'bad' }), { loss: 'mse', batch: 2, sample: [4] });
  };
  test('an op without a rule is named with its node', async () => {
    // What it puts out has nothing to do with its input's values, so that no rule for it will ever be added.
    await assert.rejects(
      build((b, h) => b.op('RandomNormalLike', [h])),
      (e) =>
        e instanceof ModelError &&
        /RandomNormalLike node "RandomNormalLike:RandomNormalLike_\d+".*supported are/.test(e.message),
    );
  });
  test('an op of another domain is not taken for the one of its name', async () => {
    const b = new GraphBuilder();
    const x = b.input('x', DataType.FLOAT, ['N', 4]);
    const h = b.op('Gemm', [x, b.weights('w', [4, 4], new Float32Array(16).fill(0.1))]);
    b.output(b.op('Gelu', [h]), DataType.FLOAT, []);
    const model = b.model({ name: 'foreign' });
    for (const n of model.graph?.node ?? []) if (n.opType === 'Gelu') n.domain = 'com.microsoft';
    const [own] = model.opsetImport;
    assert.ok(own);
    model.opsetImport.push({ ...own, domain: 'com.microsoft', version: 1n });
    await assert.rejects(
      buildTrainingGraph(model, { loss: 'mse', batch: 2, sample: [4] }),
      /Gelu node .* can't be trained through/,
    );
  });
  test('two outputs', async () => {
    await assert.rejects(
      build((b, h) => b.op('Relu', [h]), 2),
      /one input and one output; this one has 1 and 2/,
    );
  });
  test('an output without a batch', async () => {
    await assert.rejects(
      build((b, h) => b.op('ReduceMean', [h], { keepdims: 0 })),
      /first axis must be the batch/,
    );
  });
  test('a sample shape that the model does not take', async () => {
    const b = new GraphBuilder();
    b.output(
      b.op('Gemm', [b.input('x', DataType.FLOAT, ['N', 4]), b.weights('w', [4, 2], new Float32Array(8))]),
      DataType.FLOAT,
      [],
    );
    await assert.rejects(
      buildTrainingGraph(b.model({ name: 'm' }), { loss: 'mse', batch: 2, sample: [5] }),
      ModelError,
    );
  });
});
