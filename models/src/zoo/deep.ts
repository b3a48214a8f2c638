import type { Layers } from './layers.js';
import type { ModelSpec } from './spec.js';

/** Expansion, output channels, repeats, first stride (Sandler et al. 2018, Table 2), strides for 32 x 32 images. */
const INVERTED_RESIDUALS = [
  [1, 16, 1, 1],
  [6, 24, 2, 1],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/**
 * MobileNetV2 (arXiv:1801.04381) in its usual form for CIFAR: the first convolution and the second stage keep the size,
 * so that 32 x 32 ends at 4 x 4. 2.24 million parameters with 10 classes.
 */
export function mobileNetV2(l: Layers, x: string, { input, classes }: ModelSpec, output: string): void {
  const convBn = (
    name: string,
    h: string,
    from: number,
    to: number,
    kernel: number,
    stride = 1,
    groups = 1,
  ): string => {
    const padding = (kernel - 1) / 2;
    const c = l.conv(`${name}.conv`, h, from, to, [kernel, kernel], { stride, padding, groups, bias: false });
    return l.batchNorm(`${name}.bn`, c, to);
  };
  let h = l.relu6(convBn('features.0', x, input[0] ?? 3, 32, 3));
  let channels = 32;
  let block = 1;
  for (const [expansion, out, repeats, first] of INVERTED_RESIDUALS) {
    for (let i = 0; i < repeats; i++, block++) {
      const name = `features.${block}`;
      const wide = channels * expansion;
      const stride = i === 0 ? first : 1;
      let y = expansion === 1 ? h : l.relu6(convBn(`${name}.expand`, h, channels, wide, 1));
      y = l.relu6(convBn(`${name}.depthwise`, y, wide, wide, 3, stride, wide));
      y = convBn(`${name}.project`, y, wide, out, 1);
      h = stride === 1 && channels === out ? l.b.op('Add', [h, y]) : y;
      channels = out;
    }
  }
  h = l.relu6(convBn(`features.${block}`, h, channels, 1280, 1));
  l.dense('head', l.pool(h), 1280, classes, output);
}

/** Blocks and width of each stage of the 50-layer network (He et al. 2016, Table 1). */
const STAGES = [
  [3, 64],
  [4, 128],
  [6, 256],
  [3, 512],
] as const;

/**
 * ResNet50 (arXiv:1512.03385) in its usual form for CIFAR: a 3 x 3 first convolution and no first pooling. The last
 * normalisation of each block starts at 0 (Goyal et al. 2017, section 5.1), so that every block starts as the identity.
 * 23.5 million parameters with 10 classes.
 */
export function resNet50(l: Layers, x: string, { input, classes }: ModelSpec, output: string): void {
  const convBn = (
    name: string,
    h: string,
    from: number,
    to: number,
    kernel: number,
    stride: number,
    scale = 1,
  ): string => {
    const padding = (kernel - 1) / 2;
    const c = l.conv(`${name}.conv`, h, from, to, [kernel, kernel], { stride, padding, bias: false });
    return l.batchNorm(`${name}.bn`, c, to, scale);
  };
  let h = l.relu(convBn('stem', x, input[0] ?? 3, 64, 3, 1));
  let channels = 64;
  STAGES.forEach(([blocks, width], stage) => {
    for (let i = 0; i < blocks; i++) {
      const name = `layer${stage + 1}.${i}`;
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const out = width * 4;
      let y = l.relu(convBn(`${name}.1`, h, channels, width, 1, 1));
      y = l.relu(convBn(`${name}.2`, y, width, width, 3, stride));
      y = convBn(`${name}.3`, y, width, out, 1, 1, 0);
      const shortcut = channels === out && stride === 1 ? h : convBn(`${name}.shortcut`, h, channels, out, 1, stride);
      h = l.relu(l.b.op('Add', [shortcut, y]));
      channels = out;
    }
  });
  l.dense('head', l.pool(h), channels, classes, output);
}
