import { type ModelProto, probeModel } from '@ecavg/models';

const product = (dims: readonly number[]): number => dims.reduce((a, d) => a * d, 1);

/** Multiply-adds of the convolutions and matrix products of one forward pass, as floating point operations (2 each). */
export async function forwardFlops(model: ModelProto, inputShape: readonly number[]): Promise<number> {
  const graph = model.graph;
  const input = graph?.input[0]?.name;
  if (!graph || !input) throw new Error('the model has no input');
  const { shape } = await probeModel(model, input, inputShape);
  let total = 0;
  for (const node of graph.node) {
    const [x = '', w = ''] = node.input;
    const y = shape(node.output[0] ?? '');
    if (node.opType === 'Conv') total += 2 * product(y) * product(shape(w).slice(1));
    else if (node.opType === 'ConvTranspose') total += 2 * product(shape(x)) * product(shape(w).slice(1));
    else if (node.opType === 'Gemm' || node.opType === 'MatMul') total += 2 * product(y) * (shape(x).at(-1) ?? 1);
  }
  return total;
}
