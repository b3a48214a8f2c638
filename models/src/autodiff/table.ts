import { activationRules } from './activations.js';
import { arithmeticRules } from './arithmetic.js';
import { convRules } from './conv.js';
import { denseRules } from './dense.js';
import { normalizationRules } from './normalization.js';
import { poolingRules } from './pooling.js';
import type { Rules } from './rules.js';
import { shapeRules } from './shape.js';

/** Every gradient rule, by op. */
export const RULES: Rules = {
  ...denseRules,
  ...convRules,
  ...poolingRules,
  ...normalizationRules,
  ...activationRules,
  ...arithmeticRules,
  ...shapeRules,
};

/** The ops that can be trained through. Others may stand where no gradient passes (Constant, Shape, Gather of sizes). */
export const SUPPORTED_OPS: readonly string[] = Object.keys(RULES).sort();
