/**
 * A plain MQTT client that plays a smart sensor. It knows nothing of ecavg: it subscribes to one topic,
 * loads each `.onnx` that arrives, and classifies its sample with it.
 * Usage: node sensor.js BROKER_URL TOPIC; the sample comes as a message { x, shape } from the parent.
 */
import { createHash } from 'node:crypto';
import mqtt from 'mqtt';
import * as ort from 'onnxruntime-node';

const [url = '', topic = ''] = process.argv.slice(2);
let sample: { x: number[]; shape: number[] } | undefined;
let model: Uint8Array | undefined;
let tail: Promise<void> = Promise.resolve();

async function classify(): Promise<void> {
  if (!sample || !model) return;
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  const input = new ort.Tensor('float32', Float32Array.from(sample.x), [1, ...sample.shape]);
  const out = await session.run({ [session.inputNames[0] as string]: input });
  const scores = Array.from(out[session.outputNames[0] as string]?.data as Float32Array);
  const sha256 = createHash('sha256').update(model).digest('hex');
  process.send?.({ type: 'prediction', predicted: scores.indexOf(Math.max(...scores)), sha256 });
  await session.release();
}

const next = (): void => {
  tail = tail.then(classify).catch((error: unknown) => {
    process.stderr.write(`sensor: ${(error as Error).message}\n`);
  });
};
const client = mqtt.connect(url);
client.on('connect', () => client.subscribe(topic, { qos: 1 }, () => process.send?.({ type: 'ready' })));
client.on('message', (_topic, payload) => {
  model = payload;
  next();
});
process.on('message', (message) => {
  sample = message as typeof sample;
  next();
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
