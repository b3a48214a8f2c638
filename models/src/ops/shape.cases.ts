import { makeNode } from '../onnx/model.js';
import { BATCH, type Case, type CasesOf } from './make.cases.js';
import type { shape } from './shape.js';

const flat: Case = {
  name: 'Flatten, Reshape, Identity',
  sample: [2, 3, 4],
  build: (b, x, p) =>
    b.op('Gemm', [b.op('Flatten', [b.op('Identity', [b.op('Reshape', [x, b.ints([-1, 4, 6])])])]), p('w', [24, 3])]),
};

const turned: Case = {
  name: 'Transpose, Squeeze, Unsqueeze, Expand',
  sample: [2, 3],
  fixedBatch: true,
  build: (b, x, p) => {
    const t = b.op('Transpose', [b.op('Unsqueeze', [x, b.ints([1])])], { perm: [0, 3, 1, 2] });
    return b.op('Add', [b.op('Squeeze', [t, b.ints([2])]), b.op('Expand', [p('e', [1, 3, 1]), b.ints([BATCH, 3, 2])])]);
  },
};

const inPlace: Case = {
  name: 'Squeeze, Unsqueeze behind the channels',
  sample: [3, 1, 2],
  build: (b, x) => b.op('Unsqueeze', [b.op('Squeeze', [x, b.ints([2])]), b.ints([3])]),
};

const sums: Case = {
  name: 'ReduceMean, axes as attribute; ReduceSum over all but the batch',
  sample: [3, 4],
  build: (b, x) => {
    const rows = b.op('ReduceMean', [x], { axes: [2], keepdims: 0 });
    return b.op(
      'Add',
      [rows, b.op('ReduceSum', [x, b.ints([1, 2])], { keepdims: 0 })].map((t, i) =>
        i ? b.op('Unsqueeze', [t, b.ints([1])]) : t,
      ),
    );
  },
};

export const shapeCases: CasesOf<typeof shape> = {
  Flatten: [flat],
  Reshape: [flat],
  Squeeze: [turned, inPlace],
  Unsqueeze: [turned, inPlace],
  Transpose: [turned],
  Expand: [turned],
  Concat: [
    {
      name: 'Concat of used twice and constant parts',
      sample: [2, 3],
      fixedBatch: true,
      build: (b, x, p) =>
        b.op('Concat', [x, b.op('Relu', [x]), b.op('Expand', [p('c', [1, 1, 3]), b.ints([BATCH, 1, 3])])], { axis: 1 }),
    },
  ],
  Split: [
    {
      name: 'Split, with one part unused',
      sample: [6, 2],
      build: (b, x) => {
        const parts = ['s0', 's1', 's2'];
        b.nodes.push(makeNode('Split', [x, b.ints([1, 2, 3])], parts, { axis: 1 }));
        return b.op('Concat', ['s2', b.op('Exp', ['s0'])], { axis: 1 });
      },
    },
  ],
  Slice: [
    {
      name: 'Slice, negative bounds and two axes',
      sample: [5, 6],
      build: (b, x) => b.op('Slice', [x, b.ints([1, -4]), b.ints([4, -1]), b.ints([1, 2])]),
    },
    {
      name: 'Slice, steps 2 and -1',
      sample: [5, 6],
      build: (b, x) => b.op('Slice', [x, b.ints([0, 5]), b.ints([5, -7]), b.ints([1, 2]), b.ints([2, -1])]),
    },
  ],
  Pad: [
    {
      name: 'Pad, constant',
      sample: [2, 3],
      build: (b, x) => b.op('Pad', [x, b.ints([0, 1, 2, 0, 0, 1])]),
    },
  ],
  ReduceSum: [
    sums,
    {
      name: 'ReduceSum behind the channels',
      sample: [3, 4],
      build: (b, x) => b.op('ReduceSum', [x, b.ints([2])], { keepdims: 0 }),
    },
  ],
  ReduceMean: [
    sums,
    {
      name: 'ReduceMean, axes as input (opset 18)',
      sample: [3, 4],
      opset: 18,
      build: (b, x) => b.op('ReduceMean', [x, b.ints([-1])], { keepdims: 1 }),
    },
  ],
};
