import type { Case, CasesOf } from './make.cases.js';
import type { normalisation } from './normalisation.js';

const norm =
  (channels: number): Case['build'] =>
  (b, x, p) =>
    b.op('BatchNormalization', [
      x,
      p('g', [channels]),
      p('h', [channels]),
      p('m', [channels]),
      p('v', [channels], true),
    ]);

export const normalisationCases: CasesOf<typeof normalisation> = {
  BatchNormalization: [
    { name: 'BatchNormalization, batch statistics', sample: [3, 4, 2], build: norm(3) },
    { name: 'BatchNormalization of features', sample: [5], build: norm(5) },
    { name: 'BatchNormalization, frozen statistics', sample: [3, 4, 2], batchNorm: 'frozen', build: norm(3) },
  ],
  LayerNormalization: [
    {
      name: 'LayerNormalization over the last axis',
      sample: [3, 5],
      build: (b, x, p) => b.op('LayerNormalization', [x, p('g', [5]), p('h', [5])]),
    },
    {
      name: 'LayerNormalization over two axes, without bias',
      sample: [3, 5],
      build: (b, x, p) => b.op('LayerNormalization', [x, p('g', [3, 5])], { axis: 1 }),
    },
  ],
  Dropout: [
    {
      name: 'Dropout',
      sample: [6],
      build: (b, x, p) => b.op('Gemm', [b.op('Dropout', [x, b.scalar(0.5)]), p('w', [6, 3])]),
    },
  ],
};
