import type { dense } from './dense.js';
import type { CasesOf } from './make.cases.js';

export const denseCases: CasesOf<typeof dense> = {
  Gemm: [
    {
      name: 'Gemm, B transposed',
      sample: [5],
      build: (b, x, p) => b.op('Gemm', [x, p('w', [4, 5]), p('c', [4])], { transB: 1 }),
    },
    {
      name: 'Gemm, plain, scaled, bias a scalar row',
      sample: [5],
      build: (b, x, p) =>
        b.op('Gemm', [x, p('w', [5, 4]), p('c', [1, 4])], { alpha: { float: 0.5 }, beta: { float: 2 } }),
    },
    {
      name: 'Gemm, both operands transposed',
      sample: [5],
      build: (b, x, p) =>
        b.op('Gemm', [b.op('Gemm', [p('a', [6, 5]), x], { transB: 1 }), p('w', [4, 6])], { transA: 1, transB: 1 }),
    },
  ],
  MatMul: [
    { name: 'MatMul of a matrix', sample: [5], build: (b, x, p) => b.op('MatMul', [x, p('w', [5, 4])]) },
    {
      name: 'MatMul of a batch with one matrix',
      sample: [2, 5],
      build: (b, x, p) => b.op('MatMul', [x, p('w', [5, 4])]),
    },
    {
      name: 'MatMul with the batch on the right',
      sample: [5, 2],
      build: (b, x, p) => b.op('MatMul', [p('w', [4, 5]), x]),
    },
  ],
};
