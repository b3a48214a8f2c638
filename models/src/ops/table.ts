import type { NodeProto } from '../onnx/model.js';
import { activation } from './activation.js';
import { arithmetic } from './arithmetic.js';
import { convolution } from './convolution.js';
import { dense } from './dense.js';
import { normalisation } from './normalisation.js';
import { passive } from './passive.js';
import { pooling } from './pooling.js';
import type { OpRecord, Ops, PassiveRecord } from './record.js';
import { shape } from './shape.js';

/** The ops that a gradient can pass through, by family: one record each. To add one, write its record and its cases: nothing else names it. */
export const FAMILIES = { dense, convolution, pooling, normalisation, activation, arithmetic, shape } as const;

/** Every record by the op's name. */
export const OPS: Ops = Object.assign({}, ...Object.values(FAMILIES));

const PASSIVE: Readonly<Record<string, PassiveRecord>> = passive;

const isStandard = ({ domain }: NodeProto): boolean => domain === '' || domain === 'ai.onnx';

/** The record of a node's op; undefined for an op that has no gradient here, or is of another domain than ONNX's own. */
export const opOf = (node: NodeProto): OpRecord | undefined =>
  isStandard(node) && Object.hasOwn(OPS, node.opType) ? OPS[node.opType] : undefined;

/** What is known of a node's op, also of one that no gradient passes through. */
export const knownOf = (node: NodeProto): PassiveRecord | undefined =>
  opOf(node) ?? (isStandard(node) && Object.hasOwn(PASSIVE, node.opType) ? PASSIVE[node.opType] : undefined);
