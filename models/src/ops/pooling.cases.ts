import { alone, type CasesOf } from './make.cases.js';
import type { pooling } from './pooling.js';

export const poolingCases: CasesOf<typeof pooling> = {
  MaxPool: [
    {
      name: 'MaxPool, apart',
      sample: [2, 6, 6],
      build: alone('MaxPool', { kernel_shape: [2, 2], strides: [2, 2] }),
    },
    {
      name: 'MaxPool, overlapping and padded',
      sample: [2, 7, 6],
      build: alone('MaxPool', { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
    },
    {
      name: 'MaxPool, 1-D, with a remainder',
      sample: [3, 11],
      build: alone('MaxPool', { kernel_shape: [4], strides: [4] }),
    },
  ],
  AveragePool: [
    {
      name: 'AveragePool, padding not counted',
      sample: [2, 7, 6],
      build: alone('AveragePool', { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 1, 0] }),
    },
    {
      name: 'AveragePool, padding counted',
      sample: [2, 6, 6],
      build: alone('AveragePool', {
        kernel_shape: [3, 3],
        strides: [1, 1],
        pads: [1, 1, 1, 1],
        count_include_pad: 1,
      }),
    },
  ],
  GlobalAveragePool: [{ name: 'GlobalAveragePool', sample: [3, 4, 5], build: alone('GlobalAveragePool') }],
};
