// Holds the source and the transform against their contract: node --test http-poll.test.mjs
import { createServer } from 'node:http';
import { after } from 'node:test';
import { describeSource, describeTransform } from '@ecavg/edge/conformance';
import { dropSpikes, httpPoll } from './http-poll.mjs';

/** A machine whose answer the tests choose. */
let answer = '[]';
const open = (port) =>
  new Promise((done) => {
    const server = createServer((_, response) => response.end(answer)).listen(port, '127.0.0.1', () => done(server));
  });
let machine = await open(0);
const { port } = machine.address();
const close = () => {
  machine.closeAllConnections();
  return new Promise((done) => machine.close(done));
};
after(close);

const settings = {
  url: `http://127.0.0.1:${port}/`,
  everySeconds: 0.05,
  channels: { temperature: 'heat' },
  label: 'state',
};

describeSource('http-poll', httpPoll, {
  settings: () => settings,
  unknownChannel: () => ({ ...settings, channels: { nowhere: 'heat' } }),
  refused: [
    [{ ...settings, url: 'press' }, /url: expected the address/],
    [{ ...settings, speed: 1 }, /speed: http-poll has no such setting/],
    [{ url: settings.url }, /channels: say which field/],
  ],
  feed: ({ step }) => {
    answer = JSON.stringify([{ at: Date.UTC(2026, 0, 1) + 1000 * step, heat: 60, state: 'ok' }]);
  },
  async rubbish() {
    for (const said of ['<html>', '3', '[null, 3, {"heat": 1}, {"at": 1767225600000, "heat": "hot"}]']) {
      answer = said;
      await new Promise((done) => setTimeout(done, 200));
    }
  },
  async interrupt() {
    await close();
    machine = await open(port);
  },
});

describeTransform('drop-spikes', dropSpikes, {
  settings: { most: 20 },
  refused: [[{}, /most: expected a number above 0/]],
  cases: [
    {
      in: [60, 61, 400, 401, 62, 61].map((value, i) => ({ channel: 0, at: 1000 * i, value })),
      out: [60, 61, 401, 61].map((value, i) => ({ channel: 0, at: 1000 * [0, 1, 3, 5][i], value })),
    },
  ],
});
