import type { arithmetic } from './arithmetic.js';
import { alone, type Case, type CasesOf } from './make.cases.js';

const withBroadcasting: Case = {
  name: 'Sub, Mul, Div with broadcasting',
  sample: [2, 3],
  build: (b, x, p) => {
    const positive = b.op('Add', [b.op('Exp', [p('d', [2, 1])]), b.scalar(1)]);
    return b.op('Div', [b.op('Mul', [b.op('Sub', [x, p('s', [3])]), p('m', [1, 3])]), positive]);
  },
};

const byChannel: Case = {
  name: 'Sub, Mul, Div by channel',
  sample: [3],
  build: (b, x, p) => {
    const scaled = b.op('Mul', [b.op('Sub', [x, p('s', [3])]), p('m', [3])]);
    return b.op('Div', [scaled, p('d', [3], true)]);
  },
};

const powers: Case = {
  name: 'Pow with constant and trained exponents, Sum of three',
  sample: [4],
  build: (b, x, p) => {
    const positive = b.op('Add', [b.op('Exp', [x]), b.scalar(0.5)]);
    return b.op('Sum', [b.op('Pow', [x, b.scalar(3)]), b.op('Pow', [positive, p('e', [4])]), p('c', [1])]);
  },
};

/** For functions that take numbers above 0 only. */
const ofPositive = (op: string): Case => ({
  name: `${op} of positive values`,
  sample: [6],
  build: (b, x) => b.op(op, [b.op('Add', [b.op('Exp', [x]), b.scalar(0.5)])]),
});

export const arithmeticCases: CasesOf<typeof arithmetic> = {
  Add: [
    {
      name: 'Add, broadcast over leading and inner axes',
      sample: [2, 3, 4],
      build: (b, x, p) => b.op('Add', [b.op('Add', [x, p('a', [2, 1, 4])]), p('c', [4])]),
    },
  ],
  Sum: [powers],
  Sub: [withBroadcasting, byChannel],
  Mul: [withBroadcasting, byChannel],
  Div: [withBroadcasting, byChannel],
  Pow: [powers],
  Neg: [{ name: 'Neg', sample: [6], build: alone('Neg') }],
  Abs: [{ name: 'Abs', sample: [6], build: alone('Abs') }],
  Exp: [{ name: 'Exp', sample: [6], build: alone('Exp') }],
  Log: [ofPositive('Log')],
  Sqrt: [ofPositive('Sqrt')],
  Reciprocal: [ofPositive('Reciprocal')],
  Erf: [{ name: 'Erf', sample: [6], build: alone('Erf') }],
  Identity: [{ name: 'Identity', sample: [3], build: alone('Identity') }],
};
