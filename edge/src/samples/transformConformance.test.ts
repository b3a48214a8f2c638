import { scale } from './scale.js';
import { describeTransform } from './transformConformance.js';

describeTransform('scale', scale, {
  settings: { channels: { temperature: { factor: 0.5, offset: -40 }, vibration: {} } },
  unknownChannel: { channels: { nowhere: { factor: 2 } } },
  refused: [
    [{ channels: { temperature: { factor: 0 } } }, /a factor of 0 leaves nothing/],
    [{ channel: 'temperature' }, /channels/],
  ],
  cases: [
    {
      in: [
        { channel: 0, at: 1000, value: 100 },
        { channel: 1, at: 1000, value: 7 },
      ],
      out: [
        { channel: 0, at: 1000, value: 10 },
        { channel: 1, at: 1000, value: 7 },
      ],
    },
  ],
});
