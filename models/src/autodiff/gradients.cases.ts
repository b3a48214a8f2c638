import { lossCases } from '../losses/losses.cases.js';
import { familyCases } from '../ops/families.cases.js';
import type { Case } from '../ops/make.cases.js';

/** Models in which several layers meet. */
const together: readonly Case[] = [
  {
    name: 'a tensor used twice (residual)',
    sample: [4],
    build: (b, x, p) => {
      const h = b.op('Gemm', [x, p('w', [4, 4])]);
      return b.op('Add', [b.op('Relu', [h]), b.op('Gemm', [h, p('v', [4, 4])])]);
    },
  },
  {
    name: 'a parameter used twice',
    sample: [4],
    build: (b, x, p) => {
      const w = p('w', [4, 4]);
      return b.op('Gemm', [b.op('Gemm', [x, w]), w]);
    },
  },
  {
    name: 'convolutional classifier (smooth, so that differences are exact)',
    sample: [1, 8, 8],
    loss: 'cross-entropy',
    build: (b, x, p) => {
      const h = b.op('Softplus', [b.op('Conv', [x, p('k', [4, 1, 3, 3]), p('kb', [4])], { pads: [1, 1, 1, 1] })]);
      const pooled = b.op('AveragePool', [h], { kernel_shape: [2, 2], strides: [2, 2] });
      return b.op('Gemm', [b.op('Flatten', [pooled]), p('w', [64, 3])]);
    },
  },
];

const ofOps = Object.values(familyCases).flatMap((family) => Object.values<readonly Case[]>(family).flat());

/** Every small model that gradients are checked on, by finite differences and by TensorFlow.js. One that covers several ops comes once. */
export const cases: readonly Case[] = [...new Set([...ofOps, ...Object.values(lossCases).flat(), ...together])];
