import type { GraphBuilder } from '../onnx/builder.js';
import type { Random } from '../random.js';

const volume = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

function uniform(random: Random, dims: readonly number[], bound: number): Float32Array {
  return Float32Array.from({ length: volume(dims) }, () => random.range(-bound, bound));
}

/**
 * Fully connected layer: x [N, inputs] -> [N, outputs]; parameters `{name}.weight` [outputs, inputs] and
 * `{name}.bias`, all uniform in +-1/sqrt(inputs), as PyTorch's Linear starts.
 */
export function dense(
  b: GraphBuilder,
  random: Random,
  name: string,
  x: string,
  inputs: number,
  outputs: number,
  output?: string,
): string {
  const w = b.weights(`${name}.weight`, [outputs, inputs], uniform(random, [outputs, inputs], 1 / Math.sqrt(inputs)));
  const bias = b.weights(`${name}.bias`, [outputs], uniform(random, [outputs], 1 / Math.sqrt(inputs)));
  return output ? b.named(output, 'Gemm', [x, w, bias], { transB: 1 }) : b.op('Gemm', [x, w, bias], { transB: 1 });
}

/**
 * Convolution of any spatial rank that a ReLU follows; parameters `{name}.weight` [outputs, inputs, ...kernel]
 * and `{name}.bias`. Weights uniform in +-sqrt(6/fan_in), biases 0 (He et al. 2015), which keeps the signal's
 * variance through the layers: with the narrower bound of `dense` the sensor model did not start to learn.
 */
export function conv(
  b: GraphBuilder,
  random: Random,
  name: string,
  x: string,
  inputs: number,
  outputs: number,
  kernel: readonly number[],
  options: { stride?: number; padding?: number } = {},
): string {
  const dims = [outputs, inputs, ...kernel];
  const fanIn = inputs * volume(kernel);
  const w = b.weights(`${name}.weight`, dims, uniform(random, dims, Math.sqrt(6 / fanIn)));
  const bias = b.weights(`${name}.bias`, [outputs], new Float32Array(outputs));
  return b.op('Conv', [x, w, bias], {
    kernel_shape: kernel,
    strides: kernel.map(() => options.stride ?? 1),
    pads: [...kernel, ...kernel].map(() => options.padding ?? 0),
  });
}

export function maxPool(b: GraphBuilder, x: string, kernel: readonly number[]): string {
  return b.op('MaxPool', [x], { kernel_shape: kernel, strides: kernel });
}
