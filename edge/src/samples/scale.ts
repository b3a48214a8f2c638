import { z } from 'zod';
import { defineTransform } from './transform.js';

/** Brings sensors to the unit that data.stream says, as from raw counts or degrees Fahrenheit. */
export const scale = defineTransform({
  about:
    '`channels: { name: { factor, offset } }`: value x factor + offset, from raw counts or another unit to that of `data.stream`',
  schema: z.strictObject({
    channels: z.record(
      z.string(),
      z.strictObject({
        factor: z
          .number()
          .refine((f) => f !== 0, 'a factor of 0 leaves nothing of the value')
          .default(1),
        offset: z.number().default(0),
      }),
    ),
  }),
  make: ({ channels }, { channel }) => {
    const steps = new Map(Object.entries(channels).map(([name, step]) => [channel(name, `channels.${name}`), step]));
    return {
      reading(of, _at, value) {
        const step = steps.get(of);
        return step ? value * step.factor + step.offset : value;
      },
    };
  },
});
