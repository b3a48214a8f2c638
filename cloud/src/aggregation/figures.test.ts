import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { combine, type Update } from './combine.js';
import { serverStep } from './serverOptimizer.js';

/*
 * What release 0.1.0 computed of the same updates: sums of the differences against -3 ... 3, and the share of the first update. Records may be moved and
 * rewritten; the figures of a fleet may not change by it.
 */
const COMBINED: Readonly<Record<string, readonly [sum: number, share: number]>> = {
  'mean samples 0': [11.14840644504875, 0.029239766081871343],
  'mean samples 1.1': [0.7362258260418457, 0.029239766081871343],
  'mean uniform+fednova 3': [-0.8425198466720758, 0.2592592592592591],
  'mean feddisco+reliability+staleness-hinge 3': [1.643371018115431, 0.0009163385037211973],
  'mean samples+staleness-polynomial 3': [0.17443008565169293, 0.048063670246788016],
  'median samples 0': [0.2940134517266415, 0.1111111111111111],
  'median samples 1.1': [-0.42232610285282135, 0.1111111111111111],
  'median uniform+fednova 3': [-0.9292083902982995, 0.1111111111111111],
  'trimmed-mean samples 0': [1.5875002794346074, 0.1111111111111111],
  'trimmed-mean samples 1.1': [-0.2504335248086136, 0.1111111111111111],
  'trimmed-mean feddisco+reliability+staleness-hinge 3': [1.0531177228695014, 0.1111111111111111],
  'multi-krum samples 0': [-0.46697641909122467, 0.125],
  'multi-krum samples 1.1': [-0.4811062422231771, 0.125],
  'multi-krum samples+staleness-polynomial 3': [-0.46697641909122467, 0.125],
  'geometric-median samples 0': [0.9388825675123371, 0.025603340448036152],
  'geometric-median samples 1.1': [0.8353900161600905, 0.023846445668613693],
  'geometric-median uniform+fednova 3': [-0.03735937472083606, 0.1139472314347888],
  'fltrust samples 0': [0.44317375984974205, 0],
  'fltrust samples 1.1': [0.44317375984974205, 0],
  'fltrust feddisco+reliability+staleness-hinge 3': [0.44317375984974205, 0],
};
const STEPPED: Readonly<Record<string, number>> = {
  none: 92.5943954885006,
  fedavgm: 91.66382171958685,
  fedadam: 34.38126221776474,
  fedyogi: 34.407791981007904,
  reptile: 42.277124555781484,
};

const [EDGES, LENGTH] = [9, 301];
const folder = mkdtempSync(join(tmpdir(), 'ecavg-figures-'));
after(() => rmSync(folder, { recursive: true }));

let seed = 1;
const draw = (): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return seed / 2 ** 32;
};
const rows = Array.from({ length: EDGES }, (_, k) =>
  Float32Array.from({ length: LENGTH }, () => (draw() - 0.5) * (k === 4 ? 40 : 1) + (0.2 * k) / EDGES),
);
const own = Float32Array.from({ length: LENGTH }, () => draw() - 0.4);
const updates = rows.map(
  (row, k): Update => ({
    about: {
      edge: `e${k}`,
      samples: 10 + 7 * k,
      steps: 3 + k,
      labels: [k + 1, 5, 9 - k],
      staleness: (k * 3) % 7,
      reliability: (k + 1) / (EDGES + 1),
    },
    async addTo(to, weight) {
      for (let i = 0; i < row.length; i++) to[i] = (to[i] as number) + weight * (row[i] as number);
    },
  }),
);
const summed = (values: Float32Array): number => values.reduce((a, v, i) => a + v * ((i % 7) - 3), 0);
const near = (actual: number | undefined, expected: number | undefined, what: string): void => {
  if (actual === undefined || expected === undefined) assert.fail(what);
  assert.ok(
    Math.abs(actual - expected) <= 1e-12 * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, not ${expected}`,
  );
};

for (const [setting, [sum, share]] of Object.entries(COMBINED)) {
  test(`${setting}: the figures of release 0.1.0`, async () => {
    const [combiner = '', weighting = '', clip = ''] = setting.split(' ');
    const options = { combiner, weighting: weighting.split('+'), clip: Number(clip), trim: 0.25, hostile: 1 };
    const { difference, shares } = await combine(updates, LENGTH, options, folder, own);
    near(summed(difference), sum, 'sum');
    near(shares[0], share, 'share');
  });
}

for (const [name, sum] of Object.entries(STEPPED)) {
  test(`server ${name}: the figures of release 0.1.0`, () => {
    const options = { name, learningRate: 0.3, momentum: 0.8, beta1: 0.85, beta2: 0.95, tau: 0.01 };
    let state = {};
    let weights = rows[0] as Float32Array;
    for (const row of rows.slice(1)) ({ weights, state } = serverStep(weights, row, options, state, [[3, 8]]));
    near(summed(weights), sum, 'sum');
  });
}
