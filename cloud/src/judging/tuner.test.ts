import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import {
  decodeMessage,
  edgeChunks,
  encodeMessage,
  encodeShare,
  makeLayout,
  type Receipt,
  Signer,
  Topics,
} from '@ecavg/protocol';
import { createLogger } from '@ecavg/runtime';
import { cloudConfigSchema } from '../config.js';
import { EdgeKeys } from '../fleet/edgeKeys.js';
import { ShareStore } from '../inbox/shareStore.js';
import { ShareInbox } from '../inbox/shares.js';
import type { Inbox } from '../inbox/updates.js';
import { Calibrator } from './headTuner.js';
import { Judge } from './judge.js';
import { Tuner } from './tuner.js';

const root = mkdtempSync(join(tmpdir(), 'ecavg-tuner-'));
after(() => rmSync(root, { recursive: true }));
const log = createLogger('test', { level: 'silent', format: 'json' });
const config = (fineTune: object) =>
  cloudConfigSchema.parse({
    dataDir: root,
    model: { id: 'm' },
    fineTune: { epochs: 2, learningRate: 0.05, ...fineTune },
  });

let artifact: Artifact;
let view: View;
let evaluator: Evaluator;
before(async () => {
  const settings = config({});
  view = (await Judge.reference(settings)).tuning;
  const { data } = openData(settings.data);
  const model = zooModel('mlp', { input: data.shape, classes: 10, seed: 1 });
  artifact = await prepareArtifact(model, { loss: 'cross-entropy', batch: 32, sample: data.shape });
  evaluator = await Evaluator.create(artifact.model, artifact.layout);
});
after(() => evaluator.release());

const tuned = async (fineTune: object, teaching?: { logits: Float32Array }): Promise<Float32Array> => {
  const tuner = await Tuner.create(config(fineTune), artifact);
  const weights = await tuner.tune(artifact.weights, view, 1, teaching);
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
    await assert.rejects(Tuner.create(config({ freeze: ['no-such*'] }), artifact), /no parameter is called/);
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
    const calibrator = await Calibrator.create(settings, artifact);
    assert.ok(calibrator);
    const { body, shape } = await cutModel(artifact.model, headInput(artifact.model), view.data.shape);
    assert.deepEqual(calibrator.shape, shape);
    const runner = await Evaluator.create(body, makeLayout([]));
    const values = await runner.outputs(new Float32Array(), view);
    await runner.release();
    const labels = view.indices.map((i) => view.data.labels[i] as number);
    const features = everything(rowsData({ name: 'f', shape, classes: view.data.classes, values, labels }));
    const weights = await calibrator.tune(artifact.weights, [features], 1);
    await calibrator.release();
    assert.ok(weights);
    assert.deepEqual(part(weights, 'hidden.weight'), part(artifact.weights, 'hidden.weight'));
    const [old, now] = [await evaluator.evaluate(artifact.weights, view), await evaluator.evaluate(weights, view)];
    assert.ok(now.accuracy > old.accuracy + 0.4, `${old.accuracy} -> ${now.accuracy}`);
    assert.equal(await Calibrator.create(config({}), artifact), undefined);
  });
});

describe('what sites share', () => {
  const signer = Signer.generate();
  const topics = new Topics('default');
  const base = 'b'.repeat(64);
  const blobOf = (extra: object = {}, labels = [1, 2]) =>
    encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [3], createdAt: 1, ...extra },
      { values: new Float32Array(3 * labels.length).fill(0.5), labels: Int32Array.from(labels) },
      signer,
    );

  /** Sends a blob and returns the answer: accepted, or the reason of refusal. */
  const send = async (inbox: ShareInbox, answers: Receipt[], blob: Uint8Array, edge = 'e'): Promise<string> => {
    for (const c of edgeChunks(blob, { edge, model: 'm', base }, 100))
      await inbox.take(topics.share('e', 'm'), encodeMessage('share', c));
    const last = answers.at(-1);
    return last?.reason ?? last?.status ?? 'nothing';
  };
  const open = async (name: string, asked: boolean) => {
    const answers: Receipt[] = [];
    const store = new ShareStore(join(root, name), ['a', 'b', 'c']);
    const fake = {
      topics,
      answer: (_e: string, _m: string, receipt: Omit<Receipt, 'v' | 'type'>) =>
        void answers.push(decodeMessage('receipt', encodeMessage('receipt', receipt))),
      reject: (_t: string, error: { reason?: string }) =>
        void answers.push({ reason: error.reason ?? 'other' } as Receipt),
    } as unknown as Inbox;
    const about = {
      fleet: config({}).fleet,
      model: config({}).model.id,
      classes: 3,
      asked: asked ? [{ kind: 'samples' as const, shape: [3], count: 4 }] : [],
      isCurrent: () => true,
    };
    const inbox = new ShareInbox(about, store, new EdgeKeys(join(root, name, 'keys')), fake, log, () => undefined);
    return { inbox, answers, store };
  };

  test('is taken once, answered again, kept across a restart', async () => {
    const { inbox, answers, store } = await open('taken', true);
    const blob = blobOf();
    assert.equal(await send(inbox, answers, blob), 'accepted');
    assert.equal(await send(inbox, answers, blob), 'accepted');
    const again = new ShareStore(join(root, 'taken'), ['a', 'b', 'c']);
    assert.deepEqual(await again.edges('samples'), ['e']);
    const [given] = await again.views('samples', ['e']);
    assert.deepEqual([...(given?.data.labels ?? [])], [1, 2]);
    await store.forget('e');
    assert.deepEqual(await again.edges('samples'), []);
  });

  test('is refused where nobody asked, or for another shape, layer, number, name, key or label', async () => {
    const none = await open('none', false);
    assert.equal(await send(none.inbox, none.answers, blobOf()), 'not-wanted');
    const { inbox, answers, store } = await open('refused', true);
    for (const [blob, reason, edge] of [
      [blobOf({ kind: 'features', layer: 'x' }), 'not-wanted'],
      [blobOf({}, [1, 1, 1, 1, 1]), 'not-wanted'],
      [blobOf({ edge: 'other' }), 'identity-mismatch'],
      [blobOf({}), 'identity-mismatch', 'other'],
      [blobOf({ fleet: 'other' }), 'identity-mismatch'],
      [blobOf({}, [1, 3]), 'payload'],
      [blobOf().map((b, i) => (i === 60 ? b ^ 1 : b)), undefined],
      [new Uint8Array(300), 'payload'],
    ] as const) {
      const said = await send(inbox, answers, blob, edge ?? 'e');
      if (reason === undefined) assert.notEqual(said, 'accepted');
      else assert.equal(said, reason);
    }
    const wrong = encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [1, 3], createdAt: 1 },
      { values: new Float32Array(3), labels: Int32Array.of(1) },
      signer,
    );
    assert.equal(await send(inbox, answers, wrong), 'layout-mismatch');
    assert.deepEqual(await store.edges('samples'), []);
    assert.equal(await send(inbox, answers, blobOf()), 'accepted');
    const stranger = encodeShare(
      { fleet: 'default', edge: 'e', model: 'm', base, kind: 'samples', shape: [3], createdAt: 2 },
      { values: new Float32Array(3), labels: Int32Array.of(1) },
      Signer.generate(),
    );
    assert.equal(await send(inbox, answers, stranger), 'bad-signature');
  });
});
