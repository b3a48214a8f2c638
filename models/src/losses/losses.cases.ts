import { alone, type CasesOf } from '../ops/make.cases.js';
import type { Loss } from './names.js';

const identity = alone('Identity');

export const lossCases: CasesOf<Record<Loss, unknown>> = {
  'cross-entropy': [
    {
      name: 'cross-entropy, smoothed, with class weights',
      sample: [5],
      loss: 'cross-entropy',
      lossOptions: { labelSmoothing: 0.1, classWeights: [1, 2, 0.5, 1, 3] },
      build: identity,
    },
    {
      name: 'softmax cross-entropy',
      sample: [5],
      loss: 'cross-entropy',
      build: (b, x, p) => b.op('Gemm', [x, p('w', [5, 6])]),
    },
  ],
  'generalized-cross-entropy': [
    {
      name: 'generalised cross-entropy',
      sample: [5],
      loss: 'generalized-cross-entropy',
      build: (b, x) => b.op('Mul', [x, b.scalar(2)]),
    },
  ],
  'soft-cross-entropy': [
    {
      name: 'soft cross-entropy',
      sample: [5],
      loss: 'soft-cross-entropy',
      build: (b, x, p) => b.op('Gemm', [x, p('w', [5, 4])]),
    },
  ],
  mse: [{ name: 'mean squared error with a missing value', sample: [3], loss: 'mse', build: identity }],
  huber: [
    {
      name: 'Huber, both sides of delta',
      sample: [8],
      loss: 'huber',
      lossOptions: { delta: 0.7 },
      build: identity,
    },
  ],
  'bce-with-logits': [
    { name: 'binary cross-entropy with logits', sample: [8], loss: 'bce-with-logits', build: identity },
  ],
};
