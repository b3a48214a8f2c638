import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProtocolError } from '@ecavg/protocol';
import { EDGE, FakeCloud, FLEET, MODEL, shaOf } from './fakeCloud.test.js';
import { follow, type Played } from './played.test.js';

const [ONE, TWO, THREE] = [
  [1, 2, 3, 4],
  [1, 2.5, 3, 4],
  [0, 2.5, 3, 9],
] as const;

const offer = ({ hear, cloud }: Played, manifest: Uint8Array): void => hear(cloud.topics.manifest(MODEL), manifest);
const inHand = ({ follower: { following } }: Played): number[] =>
  following.kind === 'in-hand' ? [...following.artifact.weights] : [];
/** Whether a version's own chunks were asked for. */
const fetchedWhole = ({ client, cloud }: Played, weights: readonly number[]): boolean =>
  client.subscribed.includes(cloud.topics.chunk(MODEL, shaOf(weights), '+'));

describe('versions that a follower takes', () => {
  test('whole; after a restart from the disk', async () => {
    const first = await follow('whole');
    offer(first, first.cloud.version(1, ONE));
    await first.called('taken 1');
    assert.deepEqual(inHand(first), ONE);
    assert.deepEqual([first.follower.version, fetchedWhole(first, ONE)], [1, true]);
    first.follower.tell();
    assert.equal(first.statuses().at(-1)?.models[MODEL], 1);
    await first.follower.stop();

    const again = await follow('whole', { before: first });
    offer(again, again.cloud.version(1, ONE));
    await again.called('taken 1');
    assert.deepEqual([inHand(again), fetchedWhole(again, ONE)], [ONE, false]);
  });

  test('none of another fleet or model, of another cloud, or older than one that was seen', async () => {
    const played = await follow('refused');
    const { cloud, said, calls, logged } = played;
    offer(played, cloud.version(1, ONE, { fleet: 'other' }));
    offer(played, cloud.version(1, ONE, { model: 'other' }));
    assert.deepEqual(
      logged.filter((l) => l.reason).map((l) => [l.reason, l.detail]),
      [
        ['identity-mismatch', `manifest of other/${MODEL}`],
        ['identity-mismatch', `manifest of ${FLEET}/other`],
      ],
    );
    offer(played, cloud.version(5, ONE));
    await played.called('taken 5');
    offer(played, cloud.version(4, TWO));
    await said('manifest 4 is older than 5');
    offer(played, new FakeCloud().version(6, TWO));
    await said('this edge trusts');
    await played.idle();
    assert.deepEqual(calls, ['taken 5']);
    const again = await follow('refused', { before: played });
    offer(again, cloud.version(4, TWO));
    await again.said('manifest 4 is older than 5');
  });

  test('none of another layout than its manifest says, and none that does not fit here', async () => {
    const played = await follow('layout');
    offer(played, played.cloud.version(1, ONE, { layout: '0'.repeat(16) }));
    await played.said('the manifest says 0000000000000000');
    assert.equal(played.follower.version, 0);
    const picky = await follow('fits', {
      handlers: {
        fits: () => {
          throw new ProtocolError('layout-mismatch', 'not here');
        },
      },
    });
    offer(picky, picky.cloud.version(1, ONE));
    await picky.said('layout-mismatch not here');
    assert.deepEqual([picky.follower.version, picky.calls.includes('taken 1')], [0, false]);
  });

  test('by the difference from the version in hand, or from one on the disk', async () => {
    const first = await follow('difference');
    const { cloud } = first;
    offer(first, cloud.version(1, ONE));
    await first.called('taken 1');
    offer(first, cloud.version(2, TWO, { difference: cloud.difference(ONE, TWO) }));
    await first.called('taken 2');
    assert.deepEqual([inHand(first), fetchedWhole(first, TWO)], [TWO, false]);
    await first.follower.stop();

    const again = await follow('difference', { before: first });
    offer(again, cloud.version(3, THREE, { difference: cloud.difference(TWO, THREE) }));
    await again.called('taken 3');
    assert.deepEqual([inHand(again), fetchedWhole(again, THREE)], [THREE, false]);
  });

  test('with a new training graph, by the difference as well', async () => {
    const played = await follow('graph');
    const { cloud, follower } = played;
    offer(played, cloud.version(1, ONE));
    await played.called('taken 1');
    offer(played, cloud.version(2, TWO, { graph: 'another graph', difference: cloud.difference(ONE, TWO) }));
    await played.called('taken 2');
    assert.deepEqual([inHand(played), fetchedWhole(played, TWO)], [TWO, false]);
    assert.ok(follower.following.kind === 'in-hand');
    assert.equal(String(Buffer.from(follower.following.artifact.train)), 'another graph');
  });

  test('whole where the difference leads elsewhere, is damaged, or leads on from a version that is not here', async () => {
    for (const [name, difference] of [
      ['elsewhere', (cloud: FakeCloud) => cloud.difference(ONE, THREE)],
      ['codec', (cloud: FakeCloud) => ({ ...cloud.difference(ONE, TWO), codec: 'none' })],
      ['short', (cloud: FakeCloud) => ({ ...cloud.publishBlob(Buffer.from('no')), from: shaOf(ONE), codec: 'raw' })],
      ['unknown', (cloud: FakeCloud) => cloud.difference(THREE, TWO)],
      [
        'hash',
        (cloud: FakeCloud) => {
          const ref = cloud.difference(ONE, TWO);
          cloud.retained.set(cloud.topics.chunk(MODEL, ref.sha256, 0), Buffer.alloc(8, 1));
          return ref;
        },
      ],
    ] as const) {
      const played = await follow(`whole-${name}`);
      const { cloud } = played;
      offer(played, cloud.version(1, ONE));
      await played.called('taken 1');
      offer(played, cloud.version(2, TWO, { difference: difference(cloud) }));
      await played.called('taken 2');
      assert.deepEqual([inHand(played), fetchedWhole(played, TWO)], [TWO, true], name);
    }
  });

  test('once more where it could not be taken: damaged on its way, or refused by who takes it', async () => {
    let failures = 2;
    const played = await follow('retry', {
      handlers: {
        taken: async () => {
          if (failures-- > 0) throw new Error('the disk is full');
          played.calls.push('taken at last');
        },
      },
    });
    const { cloud, logged, said } = played;
    const manifest = cloud.version(1, ONE);
    const chunk = cloud.topics.chunk(MODEL, shaOf(ONE), 1);
    const good = cloud.retained.get(chunk) as Uint8Array;
    cloud.retained.set(chunk, Buffer.alloc(good.length, 1));
    offer(played, manifest);
    await said('hash-mismatch');
    cloud.retained.set(chunk, good);
    await said('step failed');
    while (!played.calls.includes('taken at last')) await new Promise((done) => setTimeout(done, 5));
    assert.equal(logged.filter((l) => l.msg.startsWith('step failed')).length, 2);
    assert.deepEqual(inHand(played), ONE);
  });

  test('the newest: a download of an older one ends when it is published', async () => {
    const played = await follow('newest');
    const { cloud, client, calls } = played;
    const manifest = cloud.version(1, ONE);
    cloud.retained.delete(cloud.topics.chunk(MODEL, shaOf(ONE), 1));
    offer(played, manifest);
    const asked = (): boolean => client.subscribed.some((t) => t.includes('/chunk/'));
    while (!asked()) await new Promise((done) => setImmediate(done));
    offer(played, cloud.version(2, TWO));
    await played.called('taken 2');
    assert.deepEqual(calls, ['taken 2']);
  });

  test('the same weights under another number are not fetched again, and said again where the cloud asks', async () => {
    const played = await follow('same');
    const { cloud, calls, idle } = played;
    offer(played, cloud.version(1, ONE));
    offer(played, cloud.version(1, ONE));
    await played.called('taken 1');
    offer(played, cloud.version(3, ONE));
    await played.called('again 3');
    assert.equal(played.follower.version, 3);
    offer(played, cloud.version(3, ONE, { canary: [EDGE] }));
    await idle();
    assert.deepEqual(calls, ['taken 1', 'again 3', 'again 3']);
  });

  test('on trial, only where it is named and trials concern it', async () => {
    const played = await follow('canary');
    const { cloud, hear, idle } = played;
    const topic = cloud.topics.canary(MODEL);
    hear(topic, cloud.version(1, ONE, { canary: ['another'] }));
    hear(topic, new Uint8Array());
    await idle();
    assert.deepEqual(played.calls, []);
    hear(topic, cloud.version(1, ONE, { canary: [EDGE, 'another'] }));
    await played.called('taken 1');
    const deaf = await follow('no-canary', { parts: { canary: false } });
    assert.ok(played.client.subscribed.includes(topic) && !deaf.client.subscribed.includes(topic));
    deaf.hear(topic, deaf.cloud.version(1, ONE, { canary: [EDGE] }));
    await deaf.idle();
    assert.deepEqual(deaf.calls, []);
  });

  test('a round is heard at once and handled in its turn; none of another model, and no old one', async () => {
    const played = await follow('rounds');
    const { cloud, hear, calls, said } = played;
    const topic = cloud.topics.round(MODEL);
    hear(topic, cloud.round(4));
    assert.deepEqual([calls.at(-1), played.follower.round?.round], ['heard 4', 4]);
    await played.called('round 4');
    calls.length = 0;
    for (const n of [4, 5, 6]) hear(topic, cloud.round(n));
    await played.called('round 6');
    assert.deepEqual(calls, ['heard 4', 'heard 5', 'heard 6', 'round 6'], 'the newest counts');
    hear(topic, cloud.round(7, { model: 'other' }));
    await said('identity-mismatch round of model other');
    hear(topic, cloud.round(3));
    await said('round 3 is older than 6');
    hear(topic, Buffer.from('noise'));
    await said('message refused');
    await played.idle();
    assert.equal(calls.length, 4);
  });
});
