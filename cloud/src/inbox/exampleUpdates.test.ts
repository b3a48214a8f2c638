import { type Artifact, prepareArtifact, zooModel } from '@ecavg/models';
import { codec, decodeUpdate, encodeUpdate, Signer, sha256Hex } from '@ecavg/protocol';
import type { RoundState, RoundStore } from './roundStore.js';

// A small model and updates to it, for tests of this room and of the rooms above.

export const artifact: Artifact = await prepareArtifact(zooModel('mlp', { input: [3], classes: 2, seed: 1 }), {
  loss: 'cross-entropy',
  batch: 4,
  sample: [3],
});

const signer = Signer.generate();

/** An update of `edge` whose every value is `value`. */
export function update(edge: string, value: number, samples: number, round = 1): { blob: Uint8Array; id: string } {
  const { layout } = artifact;
  const payload = codec('raw').encode(new Float32Array(layout.total).fill(value), layout, {});
  const blob = encodeUpdate(
    {
      fleet: 'f',
      edge,
      model: 'm',
      round,
      base: artifact.sha256,
      codec: 'raw',
      layout: layout.hash,
      samples,
      steps: 1,
      createdAt: 0,
      metrics: {},
    },
    payload,
    signer,
  );
  return { blob, id: sha256Hex(blob) };
}

export const state: RoundState = {
  round: 1,
  phase: 'open',
  base: { version: 1, sha256: artifact.sha256 },
  openedAt: 0,
  deadlineAt: 1,
  participants: ['a', 'b'],
  selected: false,
  epochs: 1,
};

export async function acceptInto(store: RoundStore, edge: string, value: number, samples: number): Promise<string> {
  const { blob, id } = update(edge, value, samples);
  await store.accept(id, decodeUpdate(blob).header, blob);
  return id;
}
