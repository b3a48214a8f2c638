import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { gatewayShard, openData } from './config.js';
import { type DataSet, labelHistogram } from './dataset.js';
import { loadMnist } from './mnist.js';
import { partitionBySite, partitionDirichlet, skew, splitByGroup, standardSplit } from './split.js';
import { BEARING, faultFrequencies, SAMPLE_RATE, simulateVibration, WINDOW } from './vibration.js';

/** Samples with chosen labels and groups; the values do not matter here. */
function stub(labels: number[], groups = labels.map((_, i) => i), classes = 4): DataSet {
  return {
    name: 'stub',
    simulated: true,
    shape: [1],
    classes: Array.from({ length: classes }, (_, c) => String(c)),
    length: labels.length,
    labels: Int32Array.from(labels),
    groups: Int32Array.from(groups),
    sites: undefined,
    read: () => undefined,
  };
}
const everything = (d: DataSet): Int32Array => Int32Array.from({ length: d.length }, (_, i) => i);
const sorted = (parts: Int32Array[]): number[] => parts.flatMap((p) => [...p]).sort((a, b) => a - b);

describe('splits', () => {
  test('every sample is in exactly one part, and no group is in two', () => {
    const sample = fc.record({ label: fc.nat(3), group: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 300 }), fc.nat(), (samples, seed) => {
        const d = stub(
          samples.map((s) => s.label),
          samples.map((s) => s.group),
        );
        const parts = splitByGroup(d, everything(d), [0.3, 0.2], seed);
        assert.deepEqual(sorted(parts), [...everything(d)]);
        const home = new Map<number, number>();
        parts.forEach((part, p) => {
          for (const i of part) {
            const group = d.groups[i] as number;
            assert.equal(home.get(group) ?? p, p);
            home.set(group, p);
          }
        });
      }),
    );
  });

  test('shares hold within each class', () => {
    const d = stub(Array.from({ length: 4000 }, (_, i) => (i % 10 === 0 ? 1 : 0)));
    const [a] = splitByGroup(d, everything(d), [0.25], 1);
    assert.deepEqual(labelHistogram({ data: d, indices: a as Int32Array }).slice(0, 2), [900, 100]);
  });

  test('shares that make no sense are refused', () => {
    const d = stub([0, 1]);
    assert.throws(() => splitByGroup(d, everything(d), [0.7, 0.7], 1), RangeError);
    assert.throws(() => splitByGroup(d, everything(d), [0], 1), RangeError);
  });
});

describe('partitions', () => {
  test('Dirichlet deals every sample once, keeps groups whole and gives each part the minimum', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.constantFrom(0.1, 0.5, 5), fc.integer({ min: 1, max: 8 }), (seed, alpha, parts) => {
        const d = stub(
          Array.from({ length: 800 }, (_, i) => i % 4),
          Array.from({ length: 800 }, (_, i) => (i % 4) * 1000 + (i >> 4)),
        );
        const shards = partitionDirichlet(d, everything(d), parts, alpha, seed, 5);
        assert.equal(shards.length, parts);
        assert.deepEqual(sorted(shards), [...everything(d)]);
        const home = new Map<number, number>();
        shards.forEach((shard, p) => {
          assert.ok(shard.length >= 5);
          for (const i of shard) {
            const g = d.groups[i] as number;
            assert.equal(home.get(g) ?? p, p);
            home.set(g, p);
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  test('a small alpha skews labels, a large one does not', () => {
    const d = stub(Array.from({ length: 4000 }, (_, i) => i % 4));
    const mean = (alpha: number): number => {
      const s = skew(d, partitionDirichlet(d, everything(d), 8, alpha, 3));
      return s.reduce((a, v) => a + v, 0) / s.length;
    };
    assert.ok(mean(100) < 0.32, String(mean(100)));
    assert.ok(mean(0.1) > 0.6, String(mean(0.1)));
  });

  test('too few samples and data without sites are refused', () => {
    const d = stub([0, 1, 2, 3]);
    assert.throws(() => partitionDirichlet(d, everything(d), 4, 0.5, 1), /4 samples can't give 4 parts/);
    assert.throws(() => partitionBySite(d, everything(d), 2), /knows no sites/);
  });
});

describe('mnist', () => {
  const cache = mkdtempSync(join(tmpdir(), 'ecavg-mnist-'));
  after(() => rmSync(cache, { recursive: true }));

  test('the converted digits are those of the package, and the cache is small', () => {
    const data = loadMnist(cache);
    assert.equal(data.length, 10_000);
    const folder = dirname(createRequire(import.meta.url).resolve('mnist/package.json'));
    const json = JSON.parse(readFileSync(join(folder, 'src/digits/7.json'), 'utf8')) as { data: number[] };
    const first = data.labels.indexOf(7);
    const x = new Float32Array(784);
    for (const k of [0, 5, 100]) {
      data.read(first + k, x, 0);
      x.forEach((v, i) => {
        assert.ok(Math.abs(v - (json.data[k * 784 + i] as number)) <= 0.0006);
      });
    }
    const [file = ''] = readdirSync(cache);
    assert.ok(statSync(join(cache, file)).size < 8e6);
  });

  test('a second load gives the same, also after the cache was damaged', () => {
    const read = (): Float32Array => {
      const x = new Float32Array(784);
      loadMnist(cache).read(1234, x, 0);
      return x;
    };
    const first = read();
    const file = join(cache, readdirSync(cache)[0] as string);
    const bytes = readFileSync(file);
    bytes[5000] = (bytes[5000] as number) ^ 0xff;
    writeFileSync(file, bytes);
    assert.deepEqual(read(), first);
    writeFileSync(file, bytes.subarray(0, 30));
    assert.deepEqual(read(), first);
  });

  test('where the cache can not be written, the digits are read all the same', () => {
    const blocked = join(cache, 'a-file');
    writeFileSync(blocked, '');
    assert.equal(loadMnist(join(blocked, 'folder')).length, 10_000);
    rmSync(blocked);
  });

  test('train, reference, test and the shards of all gateways are disjoint by sample and by content', () => {
    const config = { dataset: 'mnist', partition: 'dirichlet', alpha: 0.5, gateways: 8, seed: 1 } as const;
    const shared = openData(config);
    const { data, split } = shared;
    const shards = Array.from({ length: 8 }, (_, i) => gatewayShard(shared, config, i));
    assert.deepEqual(sorted([...shards, split.reference, split.test]), [...everything(data)]);
    const groups = (part: Int32Array) => new Set([...part].map((i) => data.groups[i] as number));
    const parts = [split.test, split.reference, ...shards].map(groups);
    const distinct = new Set(parts.flatMap((g) => [...g])).size;
    assert.equal(
      parts.reduce((a, g) => a + g.size, 0),
      distinct,
    );
    assert.throws(() => gatewayShard(shared, config, 8), /must be 0 to 7/);
    assert.deepEqual(standardSplit(data, 1), split);
  });
});

describe('simulated vibration', () => {
  const options = { sites: 3, recordingsPerSite: 30, windowsPerRecording: 4, seed: 2 };
  const data = simulateVibration(options);

  test('the fault frequencies are those of the bearing’s kinematics', () => {
    const f = faultFrequencies(30);
    assert.ok(Math.abs(f.outer + f.inner - BEARING.balls * 30) < 1e-9);
    // Known multiples of the shaft speed for a 6205 bearing: 3.585, 5.415, 4.714, 0.398.
    for (const [value, multiple] of [
      [f.outer, 3.585],
      [f.inner, 5.415],
      [f.ball, 4.714],
      [f.cage, 0.398],
    ] as const) {
      assert.ok(Math.abs(value / 30 - multiple) < 0.01, `${value / 30} for ${multiple}`);
    }
  });

  test('it is the same for the same seed, says that it is simulated, and has no missing values', () => {
    assert.ok(data.simulated && /simulated/.test(data.name));
    const again = simulateVibration(options);
    const [a, b] = [new Float32Array(2 * WINDOW), new Float32Array(2 * WINDOW)];
    for (const i of [0, 17, data.length - 1]) {
      data.read(i, a, 0);
      again.read(i, b, 0);
      assert.deepEqual(a, b);
      assert.ok(a.every(Number.isFinite));
      assert.ok(a.subarray(WINDOW).every((m) => m === 0 || m === 1));
    }
  });

  test('the envelope of a faulty bearing peaks at its fault frequency', () => {
    const x = new Float32Array(2 * WINDOW);
    const power = (label: number, frequency: number): number => {
      let sum = 0;
      const mine = [...everything(data)].filter((i) => data.labels[i] === label);
      for (const i of mine) {
        data.read(i, x, 0);
        let [re, im, mean] = [0, 0, 0];
        const envelope = Array.from({ length: WINDOW - 1 }, (_, t) =>
          Math.abs((x[t + 1] as number) - (x[t] as number)),
        );
        for (const v of envelope) mean += v / envelope.length;
        envelope.forEach((v, t) => {
          re += (v - mean) * Math.cos((2 * Math.PI * frequency * t) / SAMPLE_RATE);
          im += (v - mean) * Math.sin((2 * Math.PI * frequency * t) / SAMPLE_RATE);
        });
        sum += re * re + im * im;
      }
      return sum / mine.length;
    };
    const f = faultFrequencies(29);
    assert.ok(power(1, f.outer) > 5 * power(0, f.outer), 'outer race');
    assert.ok(power(2, f.inner) > 3 * power(0, f.inner), 'inner race');
    assert.ok(power(1, f.outer) > 2 * power(1, f.inner), 'outer race is not inner race');
  });

  test('windows of a recording stay together, and each gateway has its own site', () => {
    const config = { dataset: 'vibration', partition: 'by-site', alpha: 0.5, gateways: 3, seed: 2 } as const;
    const shared = openData(config);
    const shards = [0, 1, 2].map((i) => gatewayShard(shared, config, i));
    shards.forEach((shard, site) => {
      assert.ok(shard.every((i) => shared.data.sites?.[i] === site));
    });
    const groups = (part: Int32Array) => new Set([...part].map((i) => shared.data.groups[i]));
    const test = groups(shared.split.test);
    for (const shard of shards) for (const g of groups(shard)) assert.ok(!test.has(g));
  });
});
