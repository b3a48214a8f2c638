import tf from '@tensorflow/tfjs';

type Node = tf.SymbolicTensor;
type Layer = { apply(x: Node | Node[]): unknown };

const { layers } = tf;
const apply = (layer: Layer, x: Node | Node[]): Node => layer.apply(x) as Node;

/** The zoo's models as a user of TensorFlow.js writes them: tf.layers, channels last. */
export const TFJS_MODELS: Readonly<Record<string, () => tf.LayersModel>> = {
  mlp: () =>
    tf.sequential({
      layers: [
        layers.dense({ units: 128, activation: 'relu', inputShape: [784] }),
        layers.dense({ units: 10, activation: 'softmax' }),
      ],
    }),
  'cnn-small': () =>
    tf.sequential({
      layers: [
        layers.conv2d({ filters: 16, kernelSize: 3, padding: 'same', activation: 'relu', inputShape: [32, 32, 3] }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.conv2d({ filters: 32, kernelSize: 3, padding: 'same', activation: 'relu' }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.flatten(),
        layers.dense({ units: 10, activation: 'softmax' }),
      ],
    }),
  'sensor-cnn1d': () =>
    tf.sequential({
      layers: [
        layers.conv1d({
          filters: 16,
          kernelSize: 33,
          strides: 2,
          padding: 'same',
          activation: 'relu',
          inputShape: [1024, 2],
        }),
        layers.maxPooling1d({ poolSize: 4 }),
        layers.conv1d({ filters: 32, kernelSize: 17, padding: 'same', activation: 'relu' }),
        layers.maxPooling1d({ poolSize: 2 }),
        layers.conv1d({ filters: 32, kernelSize: 9, padding: 'same', activation: 'relu' }),
        layers.globalAveragePooling1d(),
        layers.dense({ units: 10, activation: 'softmax' }),
      ],
    }),
  mobilenetv2,
};

const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 1],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

function mobilenetv2(): tf.LayersModel {
  const norm = (x: Node): Node => apply(layers.batchNormalization(), x);
  const relu6 = (x: Node): Node => apply(layers.reLU({ maxValue: 6 }), x);
  const same = { padding: 'same', useBias: false } as const;
  const conv = (x: Node, filters: number, kernelSize: number): Node =>
    norm(apply(layers.conv2d({ filters, kernelSize, ...same }), x));
  const input = tf.input({ shape: [32, 32, 3] });
  let h = relu6(conv(input, 32, 3));
  let channels = 32;
  for (const [expansion, out, repeats, first] of STAGES) {
    for (let i = 0; i < repeats; i++) {
      const strides = i === 0 ? first : 1;
      let y = expansion === 1 ? h : relu6(conv(h, channels * expansion, 1));
      y = relu6(norm(apply(layers.depthwiseConv2d({ kernelSize: 3, strides, ...same }), y)));
      y = conv(y, out, 1);
      h = strides === 1 && channels === out ? apply(layers.add(), [h, y]) : y;
      channels = out;
    }
  }
  const pooled = apply(layers.globalAveragePooling2d({}), relu6(conv(h, 1280, 1)));
  return tf.model({ inputs: input, outputs: apply(layers.dense({ units: 10, activation: 'softmax' }), pooled) });
}
