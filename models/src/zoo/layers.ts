import type { GraphBuilder } from '../onnx/builder.js';
import type { Random } from '../random.js';

const volume = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

/**
 * Uniform in +-1/sqrt(fan_in) for weights and biases: what PyTorch's Linear and Conv layers start from
 * (kaiming_uniform with a = sqrt(5), He et al. 2015).
 */
function initial(random: Random, dims: readonly number[], fanIn: number): Float32Array {
  const bound = 1 / Math.sqrt(fanIn);
  return Float32Array.from({ length: volume(dims) }, () => random.range(-bound, bound));
}

/** Fully connected layer: x [N, inputs] -> [N, outputs]; parameters `{name}.weight` [outputs, inputs] and `{name}.bias`. */
export function dense(
  b: GraphBuilder,
  random: Random,
  name: string,
  x: string,
  inputs: number,
  outputs: number,
  output?: string,
): string {
  const w = b.weights(`${name}.weight`, [outputs, inputs], initial(random, [outputs, inputs], inputs));
  const bias = b.weights(`${name}.bias`, [outputs], initial(random, [outputs], inputs));
  return output
    ? b.named(output, 'Gemm', [x, w, bias], { transB: 1 })
    : b.op('Gemm', [x, w, bias], { transB: 1 });
}

/** Convolution of any spatial rank; parameters `{name}.weight` [outputs, inputs, ...kernel] and `{name}.bias`. */
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
  const w = b.weights(`${name}.weight`, dims, initial(random, dims, fanIn));
  const bias = b.weights(`${name}.bias`, [outputs], initial(random, [outputs], fanIn));
  return b.op('Conv', [x, w, bias], {
    kernel_shape: kernel,
    strides: kernel.map(() => options.stride ?? 1),
    pads: [...kernel, ...kernel].map(() => options.padding ?? 0),
  });
}

export function maxPool(b: GraphBuilder, x: string, kernel: readonly number[]): string {
  return b.op('MaxPool', [x], { kernel_shape: kernel, strides: kernel });
}
