import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { streamSchema } from '@ecavg/models';
import { brokerSchema, createLogger } from '@ecavg/runtime';
import fc from 'fast-check';
import { get } from 'sparkplug-payload';
import { MqttJsonSource, mqttJsonSchema } from './kinds/mqttJson.js';
import { SparkplugSource, sparkplugSchema } from './kinds/sparkplugB.js';
import { channelOf, type Intake, type SourceMeans } from './source.js';

const stream = streamSchema.parse({ channels: [{ name: 'temp' }, { name: 'vib' }], rateHz: 10, window: 4 });
const log = createLogger('test', { level: 'silent', format: 'json' });

/** Writes down what a source reads. */
class Notes implements Intake {
  readonly lines: string[] = [];
  reading(channel: number, at: number, value: number): void {
    this.lines.push(`${channel} ${at} ${value}`);
  }
  gone(channel: number, at: number): void {
    this.lines.push(`${channel} ${at} gone`);
  }
  label(at: number, name: string): void {
    this.lines.push(`label ${at} ${name}`);
  }
  bad(reason: string): void {
    this.lines.push(reason);
  }
  take(): string[] {
    return this.lines.splice(0);
  }
}

const means = (intake: Intake): SourceMeans => ({
  stream,
  intake,
  recordings: { recording: async () => assert.fail('no recording') },
  field: 'data.sources.0',
  stateFile: '/nowhere',
  channel: (name, where) => channelOf(stream, name, `data.sources.0.${where}`),
  log,
  broker: brokerSchema.parse({}),
  login: {},
  clientId: 'c',
});

describe('MQTT JSON', () => {
  const source = (notes: Notes, more: Record<string, unknown> = {}): MqttJsonSource => {
    const config = mqttJsonSchema.parse({
      topic: 'plant/+/data',
      channels: { temp: '$.t', vib: '$.samples[*].g' },
      ...more,
    });
    return new MqttJsonSource(config, means(notes));
  };
  const send = (s: MqttJsonSource, message: unknown): void =>
    s.take('plant/x/data', Buffer.from(JSON.stringify(message)), 1000);

  test('values, bursts, times, labels, and what is no value', () => {
    const notes = new Notes();
    const s = source(notes, { time: { path: '$.at', format: 's' }, sampleHz: 100, label: '$.state' });
    send(s, { at: 5, t: 20.5, samples: [{ g: 1 }, { g: 2 }, { g: '3' }], state: 'ok' });
    assert.deepEqual(notes.take(), ['label 5000 ok', '0 5000 20.5', '1 4980 1', '1 4990 2', '1 5000 3']);
    send(s, { at: 6, t: null, samples: [{ g: true }, { g: 'x' }], state: null });
    assert.deepEqual(notes.take(), ['label 6000 ', '0 6000 gone', '1 5990 1', 'not-a-number']);
    send(s, { t: 1 });
    send(s, { at: 'noon', t: 1 });
    assert.deepEqual(notes.take(), ['no-time', 'no-time']);
    s.take('plant/x/data', Buffer.from('{'), 0);
    assert.deepEqual(notes.take(), ['not-json']);
  });

  test('without a time a reading has that of its arrival; a missing path is no reading', () => {
    const notes = new Notes();
    send(source(notes), { t: 3 });
    assert.deepEqual(notes.take(), ['0 1000 3']);
  });

  test('labels may come from a topic of their own', () => {
    const notes = new Notes();
    send(source(notes, { channels: undefined, label: '$.state' }), { state: 'worn', t: 3 });
    assert.deepEqual(notes.take(), ['label 1000 worn']);
    assert.throws(() => source(new Notes(), { channels: {} }), /names neither channels nor a label/);
  });

  test('settings that name no channel, or hold no path, are refused', () => {
    assert.throws(
      () => source(new Notes(), { channels: { heat: '$.t' } }),
      /data\.sources\.0\.channels\.heat: data\.stream has no such channel; it has temp, vib/,
    );
    assert.throws(() => source(new Notes(), { channels: { temp: 'values[' } }), /JSONPath/);
  });

  test('whatever comes, nothing but finite or refused readings goes on', () => {
    const notes = new Notes();
    const s = source(notes, { time: { path: '$.at', format: 'ms' } });
    fc.assert(
      fc.property(fc.jsonValue(), fc.uint8Array({ maxLength: 40 }), (value, bytes) => {
        send(s, value);
        send(s, { at: 1, t: value, samples: value });
        s.take('plant/x/data', bytes, 1);
        for (const line of notes.take()) assert.doesNotMatch(line, /undefined|\[object/);
      }),
    );
  });
});

describe('Sparkplug B', () => {
  const codec = get('spBv1.0');
  assert.ok(codec);
  type Metrics = Parameters<typeof codec.encodePayload>[0]['metrics'];
  const setUp = () => {
    const notes = new Notes();
    const commands: string[] = [];
    const config = sparkplugSchema.parse({
      group: 'g',
      node: 'n',
      channels: { temp: { device: 'press', metric: 'Temperature' }, vib: { metric: 'Vibration' } },
      label: { device: 'press', metric: 'State' },
    });
    const source = new SparkplugSource(config, means(notes), (topic, payload) => {
      commands.push(`${topic} ${codec.decodePayload(payload).metrics?.[0]?.name}`);
    });
    const send = (topic: string, seq: number | undefined, metrics: Metrics, timestamp = 1000): void =>
      source.take(
        `spBv1.0/g/${topic}`,
        codec.encodePayload({ timestamp, ...(seq !== undefined && { seq }), metrics: metrics ?? [] }),
        9000,
      );
    return { notes, commands, send, source };
  };
  const birth = (send: ReturnType<typeof setUp>['send'], bdSeq = 0): void => {
    send('NBIRTH/n', 0, [
      { name: 'bdSeq', type: 'Int64', value: bdSeq },
      { name: 'Vibration', alias: 1, type: 'Float', value: 0.5 },
    ]);
    send('DBIRTH/n/press', 1, [
      { name: 'Temperature', alias: 2, type: 'Double', value: 20, timestamp: 900 },
      { name: 'State', alias: 3, type: 'String', value: 'ok' },
    ]);
  };

  test('births name metrics, data may use aliases alone, null is no value', () => {
    const { notes, send, commands } = setUp();
    birth(send);
    assert.deepEqual(notes.take(), ['1 1000 0.5', '0 900 20', 'label 1000 ok']);
    send('DDATA/n/press', 2, [
      { name: '', alias: 2, type: 'Double', value: 21, timestamp: 2000 },
      { name: '', alias: 3, type: 'String', value: 'worn', timestamp: 2001 },
    ]);
    send('NDATA/n', 3, [{ name: '', alias: 1, type: 'Float', value: null, isNull: true, timestamp: 2002 }]);
    assert.deepEqual(notes.take(), ['0 2000 21', 'label 2001 worn', '1 2002 gone']);
    assert.deepEqual(commands, []);
  });

  test('a gap in the sequence, or an alias that is not known, asks for a rebirth, once in a while', () => {
    const { notes, send, commands } = setUp();
    send('NDATA/n', 7, [{ name: '', alias: 1, type: 'Float', value: 1 }]);
    assert.deepEqual(notes.take(), []);
    assert.deepEqual(commands, ['spBv1.0/g/NCMD/n Node Control/Rebirth']);
    birth(send);
    notes.take();
    send('NDATA/n', 5, [{ name: '', alias: 1, type: 'Float', value: 1 }]);
    assert.deepEqual(notes.take(), ['lost-message', '1 1000 1']);
    assert.equal(commands.length, 1);
    send('NDATA/n', 6, []);
    assert.deepEqual(notes.take(), []);
  });

  test('a death ends what its node or device measures; a late will of the session before does not', () => {
    const { notes, send } = setUp();
    birth(send, 4);
    notes.take();
    send('DDEATH/n/press', 2, []);
    assert.deepEqual(notes.take(), ['0 1000 gone']);
    send('NDEATH/n', undefined, [{ name: 'bdSeq', type: 'Int64', value: 3 }]);
    assert.deepEqual(notes.take(), []);
    send('NDEATH/n', undefined, [{ name: 'bdSeq', type: 'Int64', value: 4 }]);
    assert.deepEqual(notes.take(), ['0 9000 gone', '1 9000 gone']);
  });

  test('whatever bytes come, they end in readings or are counted', () => {
    const { notes, source } = setUp();
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.constantFrom('NBIRTH/n', 'DDATA/n/press', 'NDEATH/n'),
        (bytes, t) => {
          source.take(`spBv1.0/g/${t}`, bytes, 1);
          notes.take();
        },
      ),
    );
  });
});
