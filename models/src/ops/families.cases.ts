import { activationCases } from './activation.cases.js';
import { arithmeticCases } from './arithmetic.cases.js';
import { convolutionCases } from './convolution.cases.js';
import { denseCases } from './dense.cases.js';
import type { CasesOf } from './make.cases.js';
import { normalisationCases } from './normalisation.cases.js';
import { poolingCases } from './pooling.cases.js';
import { shapeCases } from './shape.cases.js';
import type { FAMILIES } from './table.js';

/** The cases of every op, by family and op. */
export const familyCases: { readonly [F in keyof typeof FAMILIES]: CasesOf<(typeof FAMILIES)[F]> } = {
  dense: denseCases,
  convolution: convolutionCases,
  pooling: poolingCases,
  normalisation: normalisationCases,
  activation: activationCases,
  arithmetic: arithmeticCases,
  shape: shapeCases,
};
