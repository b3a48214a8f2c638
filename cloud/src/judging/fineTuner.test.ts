import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type Artifact,
  cutModel,
  Evaluator,
  everything,
  headInput,
  openData,
  prepareArtifact,
  rowsData,
  type View,
  zooModel,
} from '@ecavg/models';
import { makeLayout } from '@ecavg/protocol';
import { fineTuneSchema, guardSchema, type JudgingConfig, referenceSchema } from './config.js';
import { FineTuner } from './fineTuner.js';
import { HeadTuner } from './headTuner.js';
import { openReferenceSamples } from './referenceSamples.js';

const config = (fineTune: object): JudgingConfig => ({
  data: referenceSchema.parse(undefined),
  fineTune: fineTuneSchema.parse({ epochs: 2, learningRate: 0.05, ...fineTune }),
  guard: guardSchema.parse(undefined),
  engine: 'ort',
  threads: 1,
  model: { seed: 1 },
});

let artifact: Artifact;
let view: View;
let evaluator: Evaluator;
before(async () => {
  const settings = config({});
  view = (await openReferenceSamples(settings)).tuning;
  const { data } = openData(settings.data);
  const model = zooModel('mlp', { input: data.shape, classes: 10, seed: 1 });
  artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch: 32, sample: data.shape });
  evaluator = await Evaluator.create(artifact.model, artifact.layout);
});
after(() => evaluator.release());

const tuned = async (fineTune: object, teachers?: { logits: Float32Array }): Promise<Float32Array> => {
  const tuner = await FineTuner.create(config(fineTune), artifact);
  const weights = await tuner.tune(artifact.weights, view, 1, teachers);
  await tuner.release();
  assert.ok(weights);
  return weights;
};
const part = (weights: Float32Array, name: string): Float32Array => {
  const slot = artifact.layout.tensors.find((t) => t.name === name);
  assert.ok(slot, name);
  return weights.subarray(slot.offset, slot.offset + slot.length);
};
const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((s, v, i) => s + (v - (b[i] as number)) ** 2, 0));

describe('fine-tuning', () => {
  test('frozen layers stay to the bit, the others learn', async () => {
    const weights = await tuned({ freeze: ['hidden*'] });
    for (const { name } of artifact.layout.tensors) {
      const [now, old] = [part(weights, name), part(artifact.weights, name)];
      if (name.startsWith('hidden')) assert.deepEqual(now, old);
      else assert.notDeepEqual(now, old);
    }
    assert.ok((await evaluator.evaluate(weights, view)).accuracy > 0.5);
    await assert.rejects(FineTuner.create(config({ freeze: ['no-such*'] }), artifact), /no parameter is called/);
  });

  test('the pull to the average keeps it near, and more pull nearer', async () => {
    const away = await Promise.all([0, 1, 20].map(async (l2) => distance(await tuned({ l2 }), artifact.weights)));
    const [free, near, nearer] = away as [number, number, number];
    assert.ok(nearer < near && near < free, String(away));
  });

  test('budgets end it early, early stopping takes the best and never worse than the average where it was held back', async () => {
    const few = await tuned({ epochs: 50, maxSteps: 1 });
    assert.ok(distance(few, artifact.weights) < distance(await tuned({ epochs: 1 }), artifact.weights));
    const wild = await tuned({ epochs: 3, learningRate: 5, earlyStop: { patience: 1 } });
    const { loss } = await evaluator.evaluate(wild, view);
    assert.ok(loss <= (await evaluator.evaluate(artifact.weights, view)).loss * 1.1, String(loss));
  });

  test('distillation follows the teachers where they disagree with the labels', async () => {
    // Teachers that call everything a 7.
    const logits = new Float32Array(view.indices.length * 10);
    for (let i = 7; i < logits.length; i += 10) logits[i] = 8;
    const sevens = async (weight: number): Promise<number> => {
      const out = await evaluator.outputs(await tuned({ distill: { weight } }, { logits }), view);
      let count = 0;
      for (let n = 0; n < view.indices.length; n++) {
        const row = out.subarray(10 * n, 10 * n + 10);
        if (row.indexOf(Math.max(...row)) === 7) count++;
      }
      return count / view.indices.length;
    };
    assert.ok((await sevens(0.95)) > 0.9);
    assert.ok((await sevens(0)) < 0.3);
  });
});

describe('heads tuned on shared activations', () => {
  test('the body stays to the bit and the model gets better, as with the samples themselves', async () => {
    const settings = config({ features: { samples: 500, epochs: 5 } });
    const headTuner = await HeadTuner.create(settings, artifact);
    assert.ok(headTuner);
    const { body, shape } = await cutModel(artifact.model, headInput(artifact.model), view.data.shape);
    assert.deepEqual(headTuner.shape, shape);
    const runner = await Evaluator.create(body, makeLayout([]));
    const values = await runner.outputs(new Float32Array(), view);
    await runner.release();
    const labels = view.indices.map((i) => view.data.labels[i] as number);
    const features = everything(rowsData({ name: 'f', shape, classes: view.data.classes, values, labels }));
    const weights = await headTuner.tune(artifact.weights, [features], 1);
    await headTuner.release();
    assert.ok(weights);
    assert.deepEqual(part(weights, 'hidden.weight'), part(artifact.weights, 'hidden.weight'));
    const [old, now] = [await evaluator.evaluate(artifact.weights, view), await evaluator.evaluate(weights, view)];
    assert.ok(now.accuracy > old.accuracy + 0.4, `${old.accuracy} -> ${now.accuracy}`);
    assert.equal(await HeadTuner.create(config({}), artifact), undefined);
  });
});
