import type { Layout } from '@ecavg/protocol';
import { ArgumentError } from '@ecavg/protocol/errors';
import { sampleSize, type View } from '../data/dataset.js';
import type { Loss } from '../losses/names.js';
import { rebuildsInput } from '../losses/target.js';
import { ModelError, type ModelProto, serializeModel } from '../onnx/model.js';
import { floatTensorOf, type InferenceSession, type Tensor } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { withWeightInputs } from '../weights.js';
import type { Evaluation } from './types.js';

const BATCH = 256;

/** Evaluates any weights of one architecture with one session, in batches of 256. Call `release` when it is no longer needed. */
export class Evaluator {
  private constructor(
    private readonly session: InferenceSession,
    private readonly layout: Layout,
    private readonly names: { readonly input: string; readonly output: string },
    private readonly rebuilds: boolean,
  ) {}

  /**
   * @param layout of the tensors whose values change; everything else of the model stays.
   * @param loss what the model is trained with; one of values says that it rebuilds its input.
   * @throws ModelError where the model can't be loaded.
   */
  static async create(
    model: ModelProto,
    layout: Layout,
    threads = 1,
    loss: Loss = 'cross-entropy',
  ): Promise<Evaluator> {
    const names = new Set(layout.tensors.map((s) => s.name));
    const input = model.graph?.input.find((i) => !names.has(i.name));
    const output = model.graph?.output[0];
    if (!input || !output)
      throw new ModelError('ECAVG_MODEL_SHAPE', 'a model to evaluate has one input and one output');
    const session = await openSession(serializeModel(withWeightInputs(model, layout)), threads, 'the model');
    const rebuilds = rebuildsInput(loss);
    return new Evaluator(session, layout, { input: input.name, output: output.name }, rebuilds);
  }

  /** Outputs of a batch, flat. @param weights `layout.total` values. @param x row-major, of `shape` with the batch first. */
  async run(weights: Float32Array, x: Float32Array, shape: readonly number[]): Promise<Float32Array> {
    const feeds: Record<string, Tensor> = { [this.names.input]: floatTensorOf(x, shape) };
    for (const { name, shape: dims, offset, length } of this.layout.tensors) {
      feeds[name] = floatTensorOf(weights.subarray(offset, offset + length), dims);
    }
    const out = await this.session.run(feeds);
    return out[this.names.output]?.data as Float32Array;
  }

  /** Outputs over a view in batches, with the samples that they belong to. */
  async *#batches(
    weights: Float32Array,
    { data, indices }: View,
  ): AsyncGenerator<{ chunk: Int32Array; x: Float32Array; out: Float32Array }> {
    const size = sampleSize(data);
    for (let from = 0; from < indices.length; from += BATCH) {
      const chunk = indices.subarray(from, from + BATCH);
      const x = new Float32Array(chunk.length * size);
      chunk.forEach((index, i) => {
        data.read(index, x, i * size);
      });
      yield { chunk, x, out: await this.run(weights, x, [chunk.length, ...data.shape]) };
    }
  }

  /** Outputs of all samples of a view, [samples, ...output], flat, in its order. */
  async outputs(weights: Float32Array, view: View): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    for await (const { out } of this.#batches(weights, view)) parts.push(out);
    const all = new Float32Array(parts.reduce((a, p) => a + p.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /**
   * How good a model is on a view. Of a classifier the cross-entropy and the accuracy. Of a model that rebuilds its input the mean
   * squared error and, as accuracy, the share of the variance that it explains: 1 - error / variance, not below 0.
   * @throws RangeError for an empty view.
   */
  async evaluate(weights: Float32Array, view: View): Promise<Evaluation> {
    if (view.indices.length === 0) throw new ArgumentError('ECAVG_TRAINING_DATA', 'no samples to evaluate on');
    return this.rebuilds ? this.#rebuild(weights, view) : this.#classify(weights, view);
  }

  async #rebuild(weights: Float32Array, view: View): Promise<Evaluation> {
    const size = sampleSize(view.data);
    const samples = view.indices.length;
    let [error, sum, squares] = [0, 0, 0];
    for await (const { x, out } of this.#batches(weights, view))
      for (const [i, v] of x.entries()) {
        error += ((out[i] as number) - v) ** 2;
        sum += v;
        squares += v * v;
      }
    const n = samples * size;
    const variance = Math.max(squares / n - (sum / n) ** 2, 1e-12);
    const loss = error / n;
    return { loss, accuracy: Number.isFinite(loss) ? Math.max(0, 1 - loss / variance) : 0, samples };
  }

  async #classify(weights: Float32Array, view: View): Promise<Evaluation> {
    const { data, indices } = view;
    const classes = data.classes.length;
    let [loss, correct] = [0, 0];
    for await (const { chunk, out: logits } of this.#batches(weights, view)) {
      chunk.forEach((index, i) => {
        const row = logits.subarray(i * classes, (i + 1) * classes);
        const label = data.labels[index] as number;
        const peak = row.indexOf(Math.max(...row));
        if (peak === label) correct++;
        loss += logSumExp(row) - (row[label] as number);
      });
    }
    return { loss: loss / indices.length, accuracy: correct / indices.length, samples: indices.length };
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** Mean of the squared differences of two samples of one length. */
export function meanSquares(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (const [i, v] of a.entries()) sum += ((b[i] as number) - v) ** 2;
  return sum / a.length;
}

function logSumExp(row: Float32Array): number {
  const max = Math.max(...row);
  let sum = 0;
  for (const v of row) sum += Math.exp(v - max);
  return max + Math.log(sum);
}
