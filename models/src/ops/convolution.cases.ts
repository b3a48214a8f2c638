import type { convolution } from './convolution.js';
import type { Case, CasesOf } from './make.cases.js';

const conv =
  (w: number[], attributes: Record<string, number | string | number[]>): Case['build'] =>
  (b, x, p) =>
    b.op('Conv', [x, p('w', w), p('b', [w[0] as number])], attributes);

export const convolutionCases: CasesOf<typeof convolution> = {
  Conv: [
    { name: 'Conv 2-D', sample: [2, 6, 5], build: conv([3, 2, 3, 2], {}) },
    { name: 'Conv 2-D, uneven padding', sample: [2, 6, 5], build: conv([3, 2, 3, 3], { pads: [1, 0, 2, 1] }) },
    {
      name: 'Conv 2-D, stride 2 that skips a row',
      sample: [2, 8, 6],
      build: conv([3, 2, 3, 3], { strides: [2, 3], pads: [1, 1, 1, 1] }),
    },
    {
      name: 'Conv 2-D, dilated',
      sample: [2, 9, 8],
      build: conv([3, 2, 3, 2], { dilations: [2, 3], pads: [2, 1, 2, 1] }),
    },
    {
      name: 'Conv 2-D, stride and dilation',
      sample: [1, 11, 10],
      build: conv([2, 1, 3, 3], { strides: [3, 2], dilations: [2, 1] }),
    },
    {
      name: 'Conv 2-D, auto_pad SAME_UPPER, stride 2',
      sample: [2, 7, 6],
      build: conv([3, 2, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
    },
    {
      name: 'Conv 2-D, auto_pad SAME_LOWER',
      sample: [2, 6, 6],
      build: conv([3, 2, 2, 4], { auto_pad: 'SAME_LOWER' }),
    },
    { name: 'Conv 1-D, stride 2', sample: [2, 17], build: conv([3, 2, 5], { strides: [2], pads: [2, 2] }) },
    {
      name: 'Conv 1-D, stride 3, kernel no multiple of it, rows left over',
      sample: [2, 20],
      build: conv([3, 2, 4], { strides: [3], pads: [2, 0] }),
    },
    {
      name: 'Conv 1-D, stride larger than the kernel',
      sample: [2, 14],
      build: conv([3, 2, 2], { strides: [5], pads: [1, 1] }),
    },
    {
      name: 'Conv 1-D, stride 2, padding larger than the kernel',
      sample: [2, 9],
      build: conv([3, 2, 3], { strides: [2], pads: [4, 5] }),
    },
    { name: 'Conv 3-D', sample: [1, 4, 4, 5], build: conv([2, 1, 2, 3, 2], { strides: [2, 1, 1] }) },
    {
      name: 'Conv 2-D, 2 groups',
      sample: [4, 6, 6],
      build: conv([6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1], strides: [2, 2] }),
    },
    {
      name: 'Conv 2-D, depthwise',
      sample: [3, 7, 6],
      build: conv([3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
    },
    {
      name: 'Conv 1-D, depthwise with multiplier',
      sample: [3, 11],
      build: conv([6, 1, 3], { group: 3, strides: [2] }),
    },
  ],
  ConvTranspose: [
    {
      name: 'ConvTranspose 2-D, stride 2',
      sample: [3, 4, 5],
      build: (b, x, p) =>
        b.op('ConvTranspose', [x, p('w', [3, 2, 3, 3]), p('b', [2])], {
          strides: [2, 2],
          pads: [1, 1, 1, 1],
          output_padding: [1, 0],
        }),
    },
    {
      name: 'ConvTranspose 1-D, stride 2, output padding',
      sample: [3, 6],
      build: (b, x, p) =>
        b.op('ConvTranspose', [x, p('w', [3, 2, 5]), p('b', [2])], { strides: [2], pads: [1, 2], output_padding: [1] }),
    },
    {
      name: 'ConvTranspose 1-D, stride larger than the kernel',
      sample: [3, 4],
      build: (b, x, p) => b.op('ConvTranspose', [x, p('w', [3, 2, 2])], { strides: [4] }),
    },
    {
      name: 'ConvTranspose 1-D, 2 groups, dilated',
      sample: [4, 6],
      build: (b, x, p) => b.op('ConvTranspose', [x, p('w', [4, 3, 3])], { group: 2, dilations: [2], strides: [2] }),
    },
  ],
};
