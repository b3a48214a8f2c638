import { inspectModel } from '../autodiff/inspect.js';
import { sampleSize, type View } from '../data/dataset.js';
import type { Loss } from '../losses/names.js';
import { rebuildsInput } from '../losses/target.js';
import { parseModel } from '../onnx/model.js';
import { floatTensorOf, type InferenceSession } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';
import { meanSquares } from './evaluator.js';

const BATCH = 64;

/** What a model says of one sample: a class where it classifies, and how unusual the sample is. */
export interface Prediction {
  /** Class with the largest output, and its softmax probability; undefined for models that rebuild their input. */
  readonly label?: number;
  readonly probability?: number;
  /** How unusual the sample is: the mean squared error of what was rebuilt, or 1 less the probability. NaN where the model is broken. */
  readonly score: number;
}

/** One version of a model in service: its weights are part of the session, which is faster than giving them to each run. */
export class Predictor {
  private constructor(
    private readonly session: InferenceSession,
    private readonly names: { readonly input: string; readonly output: string },
    /** Of one sample. */
    readonly shape: readonly number[],
    private readonly rebuilds: boolean,
  ) {}

  /**
   * @param onnx bytes of an inference model with its weights. @param loss what it was trained with. @param shape of one sample.
   * @throws ModelError where it can't be loaded.
   */
  static async create(onnx: Uint8Array, loss: Loss, shape: readonly number[], threads = 1): Promise<Predictor> {
    const { input, output } = inspectModel(parseModel(onnx));
    const rebuilds = rebuildsInput(loss);
    const session = await openSession(onnx, threads, 'the model');
    const made = new Predictor(session, { input: input.name, output: output.name }, shape, rebuilds);
    // The first run is slower than those after it.
    await made.predict(new Float32Array(made.size), 1);
    return made;
  }

  /** Values of one sample. */
  get size(): number {
    return this.shape.reduce((a, d) => a * d, 1);
  }

  /** What the model says of `count` samples, which stand in `x` one after another. */
  async predict(x: Float32Array, count: number): Promise<Prediction[]> {
    const feeds = { [this.names.input]: floatTensorOf(x, [count, ...this.shape]) };
    const out = (await this.session.run(feeds))[this.names.output]?.data as Float32Array;
    const width = out.length / count;
    return Array.from({ length: count }, (_, i) => {
      const row = out.subarray(i * width, (i + 1) * width);
      if (this.rebuilds) return { score: meanSquares(x.subarray(i * this.size, (i + 1) * this.size), row) };
      return classified(row);
    });
  }

  /** The scores of a view's samples, in its order. */
  async scores({ data, indices }: View): Promise<Float32Array> {
    const size = sampleSize(data);
    const scores = new Float32Array(indices.length);
    for (let from = 0; from < indices.length; from += BATCH) {
      const chunk = indices.subarray(from, from + BATCH);
      const x = new Float32Array(chunk.length * size);
      for (const [i, index] of chunk.entries()) data.read(index, x, i * size);
      for (const [i, { score }] of (await this.predict(x, chunk.length)).entries()) scores[from + i] = score;
    }
    return scores;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

function classified(logits: Float32Array): Prediction {
  const max = Math.max(...logits);
  let sum = 0;
  for (const v of logits) sum += Math.exp(v - max);
  const probability = 1 / sum;
  return { label: logits.indexOf(max), probability, score: 1 - probability };
}
