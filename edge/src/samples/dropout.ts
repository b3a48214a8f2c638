import { Random, type StreamConfig, type View } from '@ecavg/models';

/**
 * A view for training in which each sensor is missing from a sample with probability `rate`: values 0 and, where there are masks, these
 * 0 too. The model learns to do without any of them. At least one sensor stays.
 */
export function withSensorDropout(view: View, stream: StreamConfig, rate: number, seed: number): View {
  const { length } = stream.channels;
  if (rate === 0 || length < 2) return view;
  const random = new Random(seed, 'sensor-dropout');
  const { window, mask } = stream;
  return {
    indices: view.indices,
    data: {
      ...view.data,
      read(index, out, offset) {
        view.data.read(index, out, offset);
        const stays = random.int(length);
        for (let c = 0; c < length; c++) {
          if (random.uniform() >= rate || c === stays) continue;
          out.fill(0, offset + c * window, offset + (c + 1) * window);
          if (mask) out.fill(0, offset + (length + c) * window, offset + (length + c + 1) * window);
        }
      },
    },
  };
}
