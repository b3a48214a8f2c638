import type { Tensor } from '@tensorflow/tfjs-core';
import { product } from './gradient.js';
import type { Tf } from './kernel.js';
import type { Window } from './window.js';

/*
 * What TensorFlow.js' kernels of convolutions and pooling need: they take images of odd forms only (channels last, even strides, no
 * dilation with a gradient), so everything else is written as such an image.
 */

/** [N, C, spatial...] -> [N, spatial..., C], which is all that TensorFlow's CPU kernels take. */
export const channelsLast = (tf: Tf, x: Tensor): Tensor =>
  tf.transpose(x, [0, ...[...Array(x.rank - 2).keys()].map((i) => i + 2), 1]);
export const channelsFirst = (tf: Tf, x: Tensor): Tensor =>
  tf.transpose(x, [0, x.rank - 1, ...[...Array(x.rank - 2).keys()].map((i) => i + 1)]);

/** Signals are images of height 1: an axis of size 1 before the first spatial one. */
export const asImage = (tf: Tf, x: Tensor): Tensor => (x.rank === 3 ? tf.expandDims(x, 2) : x);

export const pair = (values: readonly number[], fill: number): number[] =>
  values.length === 1 ? [fill, ...values] : [...values];

/** The same window for an image of height 1. */
export function imageWindow(win: Window): Window {
  return {
    kernel: pair(win.kernel, 1),
    strides: pair(win.strides, win.strides[0] ?? 1),
    dilations: pair(win.dilations, 1),
    begin: pair(win.begin, 0),
    end: pair(win.end, 0),
  };
}

/** Pads the spatial axes of [N, C, spatial...]. */
export function padSpatial(tf: Tf, x: Tensor, win: Window, value = 0): Tensor {
  if ([...win.begin, ...win.end].every((p) => p === 0)) return x;
  const around = win.begin.map((p, i): [number, number] => [p, win.end[i] ?? 0]);
  return tf.pad(x, [[0, 0], [0, 0], ...around], value);
}

/**
 * Writes zeros between the taps of a kernel [..., spatial...]: TensorFlow.js has no gradient of a dilated
 * convolution, but one of this.
 */
export function spreadKernel(tf: Tf, w: Tensor, dilations: readonly number[]): Tensor {
  return dilations.reduce((t, d, i) => {
    if (d === 1) return t;
    const axis = i + 2;
    const [before, size, after] = [t.shape.slice(0, axis), t.shape[axis] ?? 1, t.shape.slice(axis + 1)];
    const wide = tf.reshape(t, [product(before) * size, 1, product(after)]);
    const spread = tf.pad(wide, [
      [0, 0],
      [0, d - 1],
      [0, 0],
    ]);
    const whole = tf.reshape(spread, [product(before), size * d, product(after)]);
    const kept = tf.slice(whole, [0, 0, 0], [product(before), (size - 1) * d + 1, product(after)]);
    return tf.reshape(kept, [...before, (size - 1) * d + 1, ...after]);
  }, w);
}

/** Every stride-th row and column of [N, H, W, C]. */
export function subsample(tf: Tf, x: Tensor, strides: readonly number[]): Tensor {
  return strides.reduce((t, stride, i) => {
    if (stride === 1) return t;
    const size = Math.ceil((t.shape[i + 1] ?? 1) / stride);
    return tf.gather(
      t,
      tf.tensor1d(
        Array.from({ length: size }, (_, k) => k * stride),
        'int32',
      ),
      i + 1,
    );
  }, x);
}

export const withBias = (tf: Tf, y: Tensor, bias: Tensor | undefined): Tensor =>
  bias ? tf.add(y, tf.reshape(bias, [bias.size, ...Array(y.rank - 2).fill(1)])) : y;

export const splitAxis = (tf: Tf, x: Tensor, parts: number, axis: number): Tensor[] =>
  parts === 1 ? [x] : tf.split(x, parts, axis);
