import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Random, streamSchema } from '@ecavg/models';
import { RecordTable } from '@ecavg/runtime';
import { recordShape } from '../sources/table.js';
import { typedSettings } from '../sources/typedSettings.js';
import type { Reading, TransformRecord } from './transform.js';
import { TransformChain } from './transforms.js';

/** How a transform is tried out. */
export interface TransformExample {
  /** Names of the stream's channels; default: `temperature` and `vibration`. */
  readonly channels?: readonly string[];
  /** Settings that work, as in a settings file but without `type`. */
  readonly settings: Record<string, unknown>;
  /** Settings in which a channel is called `nowhere`; none: the transform's settings name no channels. */
  readonly unknownChannel?: Record<string, unknown>;
  /** Settings that must be refused, and what the message says. */
  readonly refused?: readonly (readonly [settings: Record<string, unknown>, message: RegExp])[];
  /** Readings that go in, one after the other, and all that comes out. */
  readonly cases: readonly { readonly in: readonly Reading[]; readonly out: readonly Reading[] }[];
}

const NOW = Date.UTC(2026, 0, 1);
const COUNT = 2000;

/** Readings of all sizes, at times that go on. */
function someReadings(channels: number, seed: number): Reading[] {
  const random = new Random(seed, 'conformance');
  return Array.from({ length: COUNT }, (_, i) => ({
    channel: random.int(channels),
    at: NOW + 100 * i,
    value: random.int(10) === 0 ? 0 : random.normal() * 10 ** (random.int(41) - 20),
  }));
}

/**
 * Holds a transform against its contract, as tests of `node:test`: call it in a test file, and run that with `node --test`.
 *
 * That its record is accepted, its settings are checked and channels refused by name; that its cases come out as they say; that whatever
 * finite readings go in, only readings come out, and the same ones each time, whatever another one of its kind has seen.
 */
export function describeTransform<Settings extends object>(
  name: string,
  record: TransformRecord<Settings>,
  example: TransformExample,
): void {
  const { channels = ['temperature', 'vibration'], settings } = example;
  const stream = streamSchema.parse({ channels: channels.map((c) => ({ name: c })), rateHz: 10, window: 10 });
  const table = new RecordTable<TransformRecord>('transform', {}, recordShape);
  const made = (given: Record<string, unknown>) => {
    table.add(name, record);
    const checked = typedSettings(table).parse({ type: name, ...given });
    const refuse = (detail: string): void => assert.fail(detail);
    const chain = new TransformChain([checked], stream, refuse, table);
    const put = (reading: Reading): Reading[] => {
      const out: Reading[] = [];
      chain.reading(reading, (channel, at, value) => out.push({ channel, at, value }));
      return out;
    };
    return { put, gone: (channel: number, at: number) => chain.gone(channel, at) };
  };

  describe(`transform ${name}`, () => {
    test('its record is accepted, and says what it is in one line', () => {
      table.add(name, record);
      assert.doesNotMatch(record.about, /\n/);
    });

    test('its settings are checked; those in force, defaults included, are settings again', () => {
      table.add(name, record);
      const schema = typedSettings(table);
      const once = schema.parse({ type: name, ...settings });
      assert.deepEqual(schema.parse(once), once);
      for (const [wrong, message] of example.refused ?? []) assert.throws(() => made(wrong), message);
    });

    const { unknownChannel } = example;
    test('a channel that the stream lacks is refused by name', { skip: !unknownChannel }, () => {
      assert.throws(() => made(unknownChannel ?? {}), /nowhere/);
    });

    test('its cases come out as they say', () => {
      for (const { in: readings, out } of example.cases) {
        const { put } = made(settings);
        assert.deepEqual(readings.flatMap(put), out);
      }
    });

    test('whatever finite readings go in, readings come out', () => {
      const { put, gone } = made(settings);
      for (const reading of someReadings(channels.length, 1)) {
        put(reading);
        if (reading.value === 0) gone(reading.channel, reading.at);
      }
    });

    test('the same readings give the same ones, whatever another one of its kind has seen', () => {
      const [alone, beside, other] = [made(settings), made(settings), made(settings)];
      const others = someReadings(channels.length, 3);
      const readings = someReadings(channels.length, 2);
      const between = readings.flatMap((reading, i) => {
        other.put(others[i] as Reading);
        return beside.put(reading);
      });
      assert.deepEqual(between, readings.flatMap(alone.put));
    });
  });
}
