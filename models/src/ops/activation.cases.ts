import type { activation } from './activation.js';
import { alone, type CasesOf } from './make.cases.js';

export const activationCases: CasesOf<typeof activation> = {
  Relu: [{ name: 'Relu', sample: [4], build: (b, x, p) => b.op('Gemm', [b.op('Relu', [x]), p('w', [4, 3])]) }],
  LeakyRelu: [{ name: 'LeakyRelu', sample: [6], build: alone('LeakyRelu') }],
  Clip: [
    {
      name: 'Clip to 0 and 6 (ReLU6), and to one side',
      sample: [8],
      build: (b, x) =>
        b.op('Clip', [b.op('Clip', [b.op('Mul', [x, b.scalar(4)]), b.scalar(0), b.scalar(6)]), '', b.scalar(5)]),
    },
  ],
  Elu: [{ name: 'Elu', sample: [6], build: alone('Elu') }],
  Sigmoid: [{ name: 'Sigmoid', sample: [6], build: alone('Sigmoid') }],
  Tanh: [{ name: 'Tanh', sample: [6], build: alone('Tanh') }],
  Softplus: [{ name: 'Softplus', sample: [6], build: alone('Softplus') }],
  HardSigmoid: [{ name: 'HardSigmoid', sample: [6], build: alone('HardSigmoid') }],
  HardSwish: [{ name: 'HardSwish', sample: [6], build: alone('HardSwish') }],
  Gelu: [
    { name: 'Gelu, exact', sample: [6], opset: 20, build: alone('Gelu') },
    { name: 'Gelu, by tanh', sample: [6], opset: 20, build: alone('Gelu', { approximate: 'tanh' }) },
  ],
  Softmax: [
    {
      name: 'Softmax, last and inner axis',
      sample: [3, 4],
      build: (b, x) => b.op('Softmax', [b.op('Softmax', [b.op('Mul', [x, b.scalar(2)])], { axis: 1 })], { axis: -1 }),
    },
  ],
  LogSoftmax: [{ name: 'LogSoftmax', sample: [3, 4], build: alone('LogSoftmax', { axis: 1 }) }],
};
