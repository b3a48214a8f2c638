import assert from 'node:assert/strict';
import { GraphBuilder } from '../onnx/builder.js';
import { DataType, type ModelProto } from '../onnx/model.js';
import { Random } from '../random.js';

/** With dropout, AdamW and FedProx: everything that a checkpoint has to hold. */
export function regularised(sample: readonly number[]): ModelProto {
  const b = new GraphBuilder();
  const random = new Random(4);
  const weights = (name: string, dims: number[]): string =>
    b.weights(
      name,
      dims,
      Float32Array.from({ length: dims.reduce((a, d) => a * d, 1) }, () => 0.05 * random.normal()),
    );
  const x = b.input('x', DataType.FLOAT, ['N', ...sample]);
  const h = b.op('Gemm', [b.op('Flatten', [x]), weights('w1', [sample.reduce((a, d) => a * d, 1), 16])]);
  const ones = (name: string, v: number): string => b.weights(name, [16], new Float32Array(16).fill(v));
  const n = b.op('BatchNormalization', [h, ones('g', 1), ones('h', 0), ones('m', 0), ones('v', 1)]);
  const d = b.op('Dropout', [b.op('Relu', [n]), b.scalar(0.3)]);
  b.named('logits', 'Gemm', [d, weights('w2', [16, 4])]);
  b.output('logits', DataType.FLOAT, ['N', 4]);
  return b.model({ name: 'regularised' });
}

/** Equal but for rounding in single precision. */
export const near = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  actual.forEach((v, i) => {
    assert.ok(Math.abs(v - (expected[i] ?? 0)) < 2e-5 * (1 + Math.abs(v)), `${actual} for ${expected}`);
  });
};
