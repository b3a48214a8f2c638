import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from './errors.js';
import { parseEdgeTopic, replyAddress, Topics } from './topics.js';

const topics = new Topics('plant-1');
const reason = (f: () => unknown): string => {
  try {
    f();
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    return error.reason;
  }
  return 'none';
};
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}$/);

test('every edge topic parses back to its parts', () => {
  fc.assert(
    fc.property(name, name, (edge, model) => {
      assert.deepEqual(parseEdgeTopic(topics, topics.status(edge)), { kind: 'status', edge });
      assert.deepEqual(parseEdgeTopic(topics, topics.metrics(edge)), { kind: 'metrics', edge });
      assert.deepEqual(parseEdgeTopic(topics, topics.update(edge, model)), { kind: 'update', edge, model });
      assert.deepEqual(parseEdgeTopic(topics, topics.receipt(edge, model)), { kind: 'receipt', edge, model });
    }),
  );
});

test('no topic has more than 7 slashes', () => {
  const all = [topics.chunk('m', 'a'.repeat(64), 12), topics.receipt('e', 'm'), topics.manifest('m'), topics.onnx('m')];
  for (const t of all) assert.ok((t.match(/\//g) ?? []).length <= 7, t);
});

test('identifiers that could leave a topic level or a folder are refused', () => {
  for (const bad of ['', '+', '#', 'a/b', '..', 'a..b', '-a', '.a', 'a b', 'é', 'x'.repeat(65), 'a\u0000']) {
    assert.equal(
      reason(() => new Topics(bad)),
      'bad-identifier',
      JSON.stringify(bad),
    );
    assert.equal(
      reason(() => topics.status(bad)),
      'bad-identifier',
      JSON.stringify(bad),
    );
  }
});

test('other topics are unknown, and the answer goes where an edge can be read', () => {
  const cases: [string, string, { edge: string; model: string } | undefined][] = [
    [`${topics.base}/edge/e1/upload/m`, 'unknown-topic', { edge: 'e1', model: 'm' }],
    [`${topics.base}/edge/e1/nonsense`, 'unknown-topic', { edge: 'e1', model: 'unknown' }],
    [`${topics.base}/edge/e1/update`, 'unknown-topic', { edge: 'e1', model: 'unknown' }],
    [`${topics.base}/edge/e 1/update/m`, 'bad-identifier', undefined],
    ['ecavg/v1/other/edge/e1/update/m', 'unknown-topic', undefined],
  ];
  for (const [topic, expected, address] of cases) {
    assert.equal(
      reason(() => parseEdgeTopic(topics, topic)),
      expected,
      topic,
    );
    if (topic.startsWith(topics.base)) assert.deepEqual(replyAddress(topics, topic), address, topic);
  }
});
