import type { GradRule } from './rules.js';

const relu: GradRule = (node, dy, { b }) => {
  const positive = b.op('Greater', [node.output[0] as string, b.scalar(0)]);
  return [b.op('Where', [positive, dy, b.scalar(0)])];
};

const reshape: GradRule = (node, dy, { b, shape }) => [b.op('Reshape', [dy, b.ints(shape(node.input[0] as string))])];

const identity: GradRule = (_node, dy) => [dy];

export const elementwiseRules: Readonly<Record<string, GradRule>> = {
  Relu: relu,
  Flatten: reshape,
  Reshape: reshape,
  Identity: identity,
};
