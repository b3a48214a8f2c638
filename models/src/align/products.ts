import { GraphBuilder } from '../onnx/builder.js';
import { DataType, serializeModel } from '../onnx/model.js';
import { floatTensorOf, type InferenceSession } from '../onnx/runtime.js';
import { openSession } from '../onnx/session.js';

/** From so many multiplications on, ONNX Runtime is worth the call; below, sums are in double precision. */
const LARGE = 1 << 22;

/** Inner products of all rows of one matrix with all rows of another: A B^T. */
export class Products {
  #session: InferenceSession | undefined;

  constructor(private readonly threads: number) {}

  /** sums[i n + j] += A_i . B_j, both n x k, row-major. */
  async add(a: Float32Array, b: Float32Array, n: number, k: number, sums: Float64Array): Promise<void> {
    if (n * n * k < LARGE) return addPlain(a, b, n, k, sums);
    this.#session ??= await openSession(graph(), this.threads, 'a matrix product');
    const out = await this.#session.run({
      a: floatTensorOf(a, [n, k]),
      b: floatTensorOf(b, [n, k]),
    });
    const product = out.c?.data as Float32Array;
    for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (product[i] as number);
  }

  async release(): Promise<void> {
    await this.#session?.release();
    this.#session = undefined;
  }
}

function graph(): Uint8Array {
  const b = new GraphBuilder();
  const [x, y] = [b.input('a', DataType.FLOAT, ['N', 'K']), b.input('b', DataType.FLOAT, ['M', 'K'])];
  b.named('c', 'Gemm', [x, y], { transB: 1 });
  b.output('c', DataType.FLOAT, ['N', 'M']);
  return serializeModel(b.model({ name: 'products' }));
}

function addPlain(a: Float32Array, b: Float32Array, n: number, k: number, sums: Float64Array): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let dot = 0;
      for (let at = 0; at < k; at++) dot += (a[i * k + at] as number) * (b[j * k + at] as number);
      sums[i * n + j] = (sums[i * n + j] as number) + dot;
    }
  }
}
