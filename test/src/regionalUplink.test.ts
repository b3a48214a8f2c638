import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { type Artifact, prepareArtifact, Random, updateArtifact, zooModel } from '@ecavg/models';
import { codec, decodeMessage, type Manifest, PRESETS, sha256Hex, unpack } from '@ecavg/protocol';
import type { Child } from 'ecavg';
import { changed, FLEET, kill, MODEL, type TestFleet, withFleet } from './harness.js';
import { paced } from './pace.js';
import { type Came, PlayedNode } from './playedNodes.js';

const LIMIT = { timeout: paced(120_000) };
const REGION = 'north';
const EDGE = 'edge-0';

/** A region between a cloud and an edge that the test plays. */
async function withRegion(
  upstream: object,
  body: (played: { fleet: TestFleet; cloud: PlayedNode; edge: PlayedNode; start(): Promise<Child> }) => Promise<void>,
): Promise<void> {
  await withFleet(0, async (fleet) => {
    await fleet.broker();
    const [cloud, edge] = [
      await PlayedNode.connect(fleet.brokerUrl, FLEET, MODEL),
      await PlayedNode.connect(fleet.brokerUrl, REGION, MODEL),
    ];
    const broker = { url: fleet.brokerUrl, reconnectSeconds: 0.2 };
    const start = (): Promise<Child> =>
      fleet.daemon(REGION, 'cloud', {
        role: 'regional',
        fleet: REGION,
        dataDir: join(fleet.folder, REGION),
        broker,
        model: { id: MODEL },
        upstream: { fleet: FLEET, name: REGION, broker, resendSeconds: 0.5, ...upstream },
        rounds: { settleSeconds: 0 },
      });
    try {
      await body({ fleet, cloud, edge, start });
    } finally {
      await cloud.close();
      await edge.close();
    }
  });
}

const noise = ({ layout }: Artifact, seed: number): Float32Array => {
  const random = new Random(seed, 'regional');
  return Float32Array.from({ length: layout.total }, () => 0.01 * random.normal());
};

const manifestOf =
  (version: number) =>
  (payload: Uint8Array): Manifest | undefined => {
    const manifest = decodeMessage('manifest', payload);
    return manifest.version === version ? manifest : undefined;
  };

describe('a region’s way up', () => {
  let first: Artifact;
  let second: Artifact;
  /** From the first version to the second. */
  let difference: Uint8Array;

  before(async () => {
    const zoo = zooModel('mlp', { input: [16], classes: 4, seed: 1 });
    first = await prepareArtifact(zoo, { loss: 'cross-entropy', batch: 2, sample: [16] });
    const coder = codec('range');
    difference = coder.encode(noise(first, 1), first.layout, PRESETS.balanced);
    const weights = first.weights.slice();
    coder.accumulate(difference, first.layout, 1, weights);
    second = updateArtifact(first, weights);
  });

  test(
    'a version comes by its difference, also after a restart, and is passed on whole and by its difference',
    LIMIT,
    () =>
      withRegion({}, async ({ cloud, edge, start }) => {
        const child = await start();
        for (const blob of [first.infer, first.train, difference]) await cloud.publishBlob(blob);
        await cloud.manifest(1, first);
        const manifests = edge.topics.manifest(MODEL);
        await edge.until(manifests, manifestOf(1));
        await kill(child);
        await start();
        // The chunks of the second version are nowhere.
        const ref = await cloud.publishBlob(difference);
        await cloud.manifest(2, second, { difference: { ...ref, from: first.sha256, codec: 'range' } });
        const passedOn = await edge.until(manifests, manifestOf(2));
        assert.deepEqual(
          [passedOn.infer.sha256, passedOn.difference?.sha256, passedOn.difference?.from],
          [second.sha256, sha256Hex(difference), first.sha256],
        );
        const chunks = [...Array(Math.ceil(second.infer.length / passedOn.infer.chunkBytes)).keys()].map(
          (i) => edge.heard(edge.topics.chunk(MODEL, second.sha256, i))[0] ?? new Uint8Array(),
        );
        assert.equal(sha256Hex(Buffer.concat(chunks)), second.sha256);
        // The report says what it cost.
        const down = await cloud.until(cloud.topics.metrics(REGION), (payload) => {
          const { version, values } = decodeMessage('metrics', payload);
          return version === 2 ? values.bytesDown : undefined;
        });
        assert.equal(down, difference.length);
        assert.ok(down < second.infer.length / 2, `${down} of ${second.infer.length}`);
      }),
  );

  test('no manifest of another fleet or model is passed on, and none that is not what it says', LIMIT, () =>
    withRegion({}, async ({ fleet, cloud, edge, start }) => {
      await start();
      for (const blob of [first.infer, first.train, second.infer]) await cloud.publishBlob(blob);
      await cloud.manifest(1, first, { fleet: 'other' });
      await fleet.logged(REGION, /identity-mismatch.*manifest of other\//);
      await cloud.manifest(2, first, { model: 'other' });
      await fleet.logged(REGION, /identity-mismatch.*manifest of plant\/other/);
      await cloud.manifest(3, first, { layout: '0'.repeat(16) });
      await fleet.logged(REGION, /layout-mismatch.*the manifest says 0000000000000000/);
      await cloud.manifest(4, second);
      const topic = edge.topics.manifest(MODEL);
      await edge.until(topic, manifestOf(4));
      assert.deepEqual(
        edge.heard(topic).map((payload) => decodeMessage('manifest', payload).version),
        [4],
      );
    }),
  );

  test('what a lossy preset loses, and what was refused, goes up with the next update; also over kill -9', LIMIT, () =>
    withRegion({ preset: 'tight' }, async ({ fleet, cloud, edge, start }) => {
      let child = await start();
      for (const blob of [first.infer, first.train]) await cloud.publishBlob(blob);
      await cloud.manifest(1, first);
      await edge.until(edge.topics.manifest(MODEL), manifestOf(1));
      await edge.online(EDGE, 10, 1);
      const upstream = join(fleet.folder, REGION, 'upstream');
      const { total } = first.layout;
      const wanted = new Float32Array(total);
      const brought = new Float32Array(total);
      const residual = (): Float32Array => {
        const { values } = unpack(readFileSync(join(upstream, 'residual'))) as { values: Uint8Array };
        return values.length === 0 ? new Float32Array(total) : new Float32Array(new Uint8Array(values).buffer);
      };
      const largest = (values: Float32Array): number => values.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
      /** All that edges sent is with the cloud, or in the residual. */
      const nothingIsLost = (round: number): void => {
        const left = residual();
        const missing = wanted.map((w, i) => w - (brought[i] as number) - (left[i] as number));
        assert.ok(largest(missing) < 1e-6, `round ${round}: ${largest(missing)} is lost`);
      };
      const answered = (): Promise<void> => changed(upstream, () => !existsSync(join(upstream, 'outbox')));
      const collect = async (round: number, delta: Float32Array): Promise<Came> => {
        await cloud.round(round, 1, first);
        const topic = edge.topics.round(MODEL);
        await edge.until(topic, (payload) => {
          const message = decodeMessage('round', payload);
          return message.round === round && message.state === 'open' ? message : undefined;
        });
        await edge.send(EDGE, round, first, delta);
        for (const [i, v] of delta.entries()) wanted[i] = (wanted[i] as number) + v;
        return cloud.update(REGION, round);
      };
      const bring = ({ header, payload }: Came): void =>
        codec(header.codec).accumulate(payload, first.layout, 1, brought);

      const one = await collect(1, noise(first, 2));
      bring(one);
      // The answer finds another process.
      await kill(child);
      child = await start();
      await cloud.receipt(REGION, { id: one.id, status: 'accepted', round: 1 });
      await answered();
      assert.ok(largest(residual()) > 1e-3, 'the preset loses something');
      nothingIsLost(1);

      await edge.until(edge.topics.manifest(MODEL), manifestOf(1));
      const two = await collect(2, noise(first, 3));
      await cloud.receipt(REGION, { id: two.id, status: 'rejected', round: 2, reason: 'duplicate' });
      await answered();
      nothingIsLost(2);

      const three = await collect(3, new Float32Array(total));
      bring(three);
      assert.ok(largest(brought) > 0);
      await cloud.receipt(REGION, { id: three.id, status: 'accepted', round: 3 });
      await answered();
      nothingIsLost(3);
    }),
  );
});
