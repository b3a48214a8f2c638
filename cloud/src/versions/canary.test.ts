import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changeOf, drawCanaries, objection, receptionOf } from './canary.js';
import { canarySchema } from './config.js';
import { objectionText } from './words.js';

const fleet = (n: number): string[] => Array.from({ length: n }, (_, i) => `edge-${String(i).padStart(3, '0')}`);

describe('a version on trial', () => {
  const canary = canarySchema.parse({
    share: 0.3,
    minReports: 2,
    tolerance: 0.01,
    hurtTolerance: 0.05,
    maxHurt: 0.34,
  });
  const report = (edge: string, valPrevious: number, valAfter: number) => ({ edge, values: { valPrevious, valAfter } });
  const judge = (...changes: number[]) =>
    objection(
      receptionOf(
        changes.map((c, i) => report(`e${i}`, 0.8, 0.8 + c)),
        canary,
      ),
      canary,
    );

  test('goes to everybody where the edges gain, and not where they lose, are hurt or say nothing', () => {
    assert.equal(judge(0.02, 0.01), undefined);
    assert.equal(judge(-0.005, -0.005), undefined);
    const against = (...changes: number[]): string[] => {
      const found = judge(...changes);
      return found ? [found.code, objectionText(found)] : [];
    };
    assert.deepEqual(against(-0.02, -0.02), ['edges-lost', 'the edges lost 2.0 points on average; the tolerance is 1']);
    assert.deepEqual(against(0.3, 0.3, -0.06, -0.06), ['edges-hurt', '2 of 4 edges were hurt: e2, e3']);
    assert.deepEqual(against(0.5), ['too-few-reports', '1 of the 2 reports that are needed came in time']);
    assert.equal(changeOf({ values: { valAfter: 1 } }), undefined);
  });

  test('is tried by the wanted share of the edges online, at least one, others each time', () => {
    const edges = fleet(20);
    assert.equal(drawCanaries(edges, 0.3, 5).length, 6);
    assert.equal(drawCanaries(edges.slice(0, 2), 0.1, 5).length, 1);
    assert.deepEqual(drawCanaries([], 0.5, 5), []);
    assert.deepEqual(drawCanaries(edges, 0.3, 5), drawCanaries(edges, 0.3, 5));
    assert.notDeepEqual(drawCanaries(edges, 0.3, 5), drawCanaries(edges, 0.3, 6));
  });
});
