import { input } from './gradient.js';
import type { TfOp } from './kernel.js';
import type { PassiveRecord } from './record.js';

/** A float constant; those of integers are known from the probing run. */
const constantOfShape: TfOp = (node, _inputs, { tf, ints }) => {
  const value = node.attribute.find((a) => a.name === 'value')?.t;
  const fill =
    value?.floatData[0] ??
    (value?.rawData.length === 4 ? new DataView(value.rawData.slice().buffer).getFloat32(0, true) : 0);
  return [tf.fill([...(ints(input(node, 0)) ?? [])], fill)];
};

/** Ops that no gradient passes through. */
export const passive = {
  ConstantOfShape: { kernel: constantOfShape, units: 'stops' },
  GlobalMaxPool: { units: 'channelwise' },
} satisfies Readonly<Record<string, PassiveRecord>>;
