import type { GraphBuilder } from '../onnx/builder.js';
import type { Random } from '../random.js';

const volume = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

function uniform(random: Random, dims: readonly number[], bound: number): Float32Array {
  return Float32Array.from({ length: volume(dims) }, () => random.range(-bound, bound));
}

/** Emits layers with seeded weights into one graph. */
export class Layers {
  constructor(
    readonly b: GraphBuilder,
    private readonly random: Random,
  ) {}

  /**
   * Fully connected layer: x [N, inputs] -> [N, outputs]; parameters `{name}.weight` [outputs, inputs] and
   * `{name}.bias`, all uniform in +-1/sqrt(inputs), as PyTorch's Linear starts.
   */
  dense(name: string, x: string, inputs: number, outputs: number, output?: string): string {
    const bound = 1 / Math.sqrt(inputs);
    const w = this.b.weights(`${name}.weight`, [outputs, inputs], uniform(this.random, [outputs, inputs], bound));
    const bias = this.b.weights(`${name}.bias`, [outputs], uniform(this.random, [outputs], bound));
    return output
      ? this.b.named(output, 'Gemm', [x, w, bias], { transB: 1 })
      : this.b.op('Gemm', [x, w, bias], { transB: 1 });
  }

  /**
   * Convolution of any spatial rank that a ReLU follows; parameters `{name}.weight` [outputs, inputs / groups,
   * ...kernel] and, without batch normalisation behind it, `{name}.bias`. Weights uniform in +-sqrt(6/fan_in),
   * biases 0 (He et al. 2015), which keeps the signal's variance through the layers: with the narrower
   * bound of `dense` the sensor model did not start to learn.
   */
  conv(
    name: string,
    x: string,
    inputs: number,
    outputs: number,
    kernel: readonly number[],
    options: { stride?: number; padding?: number; groups?: number; bias?: boolean } = {},
  ): string {
    const { stride = 1, padding = 0, groups = 1, bias = true } = options;
    const dims = [outputs, inputs / groups, ...kernel];
    const bound = Math.sqrt(6 / ((inputs / groups) * volume(kernel)));
    const w = this.b.weights(`${name}.weight`, dims, uniform(this.random, dims, bound));
    const operands = bias ? [x, w, this.b.weights(`${name}.bias`, [outputs], new Float32Array(outputs))] : [x, w];
    return this.b.op('Conv', operands, {
      kernel_shape: kernel,
      strides: kernel.map(() => stride),
      pads: [...kernel, ...kernel].map(() => padding),
      group: groups,
    });
  }

  /** Transposed convolution that doubles the length of a signal: kernel 4, stride 2, padding 1. */
  upConv1d(name: string, x: string, inputs: number, outputs: number, output?: string): string {
    const dims = [inputs, outputs, 4];
    const w = this.b.weights(`${name}.weight`, dims, uniform(this.random, dims, Math.sqrt(6 / (inputs * 2))));
    const operands = [x, w, this.b.weights(`${name}.bias`, [outputs], new Float32Array(outputs))];
    const attributes = { kernel_shape: [4], strides: [2], pads: [1, 1] };
    return output
      ? this.b.named(output, 'ConvTranspose', operands, attributes)
      : this.b.op('ConvTranspose', operands, attributes);
  }

  /**
   * Batch normalisation: `{name}.weight` 1 (or `scale`), `{name}.bias` 0, `{name}.running_mean` 0, `{name}.running_var` 1.
   */
  batchNorm(name: string, x: string, channels: number, scale = 1): string {
    const constant = (what: string, value: number): string =>
      this.b.weights(`${name}.${what}`, [channels], new Float32Array(channels).fill(value));
    const operands = [
      x,
      constant('weight', scale),
      constant('bias', 0),
      constant('running_mean', 0),
      constant('running_var', 1),
    ];
    return this.b.op('BatchNormalization', operands, { epsilon: { float: 1e-5 }, momentum: { float: 0.9 } });
  }

  relu(x: string): string {
    return this.b.op('Relu', [x]);
  }

  relu6(x: string): string {
    return this.b.op('Clip', [x, this.b.scalar(0), this.b.scalar(6)]);
  }

  maxPool(x: string, kernel: readonly number[]): string {
    return this.b.op('MaxPool', [x], { kernel_shape: kernel, strides: kernel });
  }

  flatten(x: string): string {
    return this.b.op('Flatten', [x], { axis: 1 });
  }

  /** Mean over all positions: [N, C, ...] -> [N, C]. */
  pool(x: string): string {
    return this.flatten(this.b.op('GlobalAveragePool', [x]));
  }
}
