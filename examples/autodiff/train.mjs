// Fits a small network to a sine. One step, gradients and all, is one graph of ordinary ONNX ops.
import * as ecavg from '@ecavg/models/autodiff';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const floats = (n, value) => Float32Array.from({ length: n }, (_, i) => value(i));
const b = new ecavg.GraphBuilder();
const x = b.input('x', ecavg.DataType.FLOAT, ['N', 1]);
const hidden = b.op('Tanh', [b.op('Gemm', [x, b.weights('w1', [1, 16], floats(16, Math.cos))])]);
b.named('y', 'Gemm', [hidden, b.weights('w2', [16, 1], floats(16, Math.sin))]);
b.output('y', ecavg.DataType.FLOAT, ['N', 1]);
const model = b.model({ name: 'sine' });

const options = { loss: 'mse', optimizer: { type: 'adamw' }, batch: 64, sample: [1] };
const training = await ecavg.buildTrainingGraph(model, options);
const session = await InferenceSession.create(ecavg.serializeModel(training));
const points = floats(64, (i) => i / 10 - 3.2);
const kept = ecavg.startTensors(model, ecavg.trainingInfo(training));
const feeds = Object.fromEntries(kept.map((t) => [t.name, new Tensor('float32', t.values, t.shape)]));
feeds.x = new Tensor('float32', points, [64, 1]);
feeds[ecavg.STEP.target] = new Tensor('float32', points.map(Math.sin), [64, 1]);
feeds[ecavg.STEP.weight] = new Tensor('float32', new Float32Array(64).fill(1), [64]);
feeds[ecavg.STEP.learningRate] = new Tensor('float32', [0.03], []);

for (let step = 0; step <= 500; step++) {
  const out = await session.run(feeds);
  if (step % 100 === 0) console.log(`step ${step}: loss ${out[ecavg.STEP.loss].data[0].toFixed(5)}`);
  for (const { name } of kept) feeds[name] = out[`${name}:next`];
}
