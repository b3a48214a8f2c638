import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadDataSet } from '@ecavg/models';
import mqtt from 'mqtt';
import { FLEET, kill, MODEL, withFleet } from './harness.js';

/** A sensor that asks a gateway, and keeps a few questions on their way. */
class Sensor {
  readonly asked: string[] = [];
  readonly results: Record<string, unknown>[] = [];
  readonly #waiting = new Map<string, () => void>();
  readonly #data = loadDataSet('mnist', { sites: 1, seed: 1 });
  #on = true;

  private constructor(
    private readonly client: mqtt.MqttClient,
    private readonly edge: string,
  ) {
    client.on('message', (_topic, payload) => {
      const result = JSON.parse(String(payload)) as Record<string, unknown>;
      this.results.push(result);
      this.#waiting.get(String(result.id))?.();
    });
  }

  static async connect(url: string, edge: string): Promise<Sensor> {
    const client = await mqtt.connectAsync(url);
    await client.subscribeAsync(`ecavg/v1/${FLEET}/edge/${edge}/infer/${MODEL}/result`, { qos: 1 });
    return new Sensor(client, edge);
  }

  async ask(sample: number): Promise<Record<string, unknown>> {
    const x = new Float32Array(784);
    this.#data.read(sample, x, 0);
    const id = `q${this.asked.length}`;
    this.asked.push(id);
    const answered = new Promise<void>((done) => this.#waiting.set(id, done));
    await this.client.publishAsync(
      `ecavg/v1/${FLEET}/edge/${this.edge}/infer/${MODEL}/request`,
      JSON.stringify({ id, x: [...x] }),
      { qos: 1 },
    );
    await answered;
    return this.results.at(-1) as Record<string, unknown>;
  }

  label(sample: number): number {
    return this.#data.labels[sample] as number;
  }

  /** Asks without a pause, four at a time, until `end`. */
  async keepAsking(): Promise<void> {
    const one = async (lane: number): Promise<void> => {
      for (let i = lane; this.#on; i += 4) await this.ask(i % 1000);
    };
    await Promise.all([0, 1, 2, 3].map(one));
  }

  end(): void {
    this.#on = false;
  }

  async close(): Promise<void> {
    await this.client.endAsync();
  }
}

describe('inference on the gateway', () => {
  test('sensors are answered while it trains and changes models: no request is lost', () =>
    withFleet(2, async (fleet) => {
      await fleet.broker();
      const { child, events } = await fleet.cloud({ rounds: { count: 4, pretrainEpochs: 10, epochs: 5 } });
      const gateway = await fleet.edge(0, { infer: { reportSeconds: 1 } });
      await events.until('report', (d) => d.edge === 'edge-0' && d.event === 'adopted');
      const sensor = await Sensor.connect(fleet.brokerUrl, 'edge-0');
      const asking = sensor.keepAsking();
      await fleet.edge(1);
      await events.until('finished');
      sensor.end();
      await asking;
      const ids = sensor.results.map((r) => r.id);
      assert.deepEqual([...ids].sort(), [...sensor.asked].sort(), 'one result for each request');
      assert.ok(ids.length > 200, String(ids.length));
      const failed = sensor.results.filter((r) => r.error !== undefined);
      assert.deepEqual(failed, []);
      const versions = [...new Set(sensor.results.map((r) => r.version))];
      assert.ok(versions.length >= 4, versions.join());
      assert.ok(sensor.results.some((r) => r.own === true) && sensor.results.some((r) => r.own === false));
      const { data } = await events.until('report', (d) => d.event === 'served');
      const values = data.values as Record<string, number>;
      assert.ok((values.requests ?? 0) > 0 && (values.latencyMedianMs ?? 0) > 0, JSON.stringify(values));

      // Without a cloud, after a kill: it answers with the model of its last run.
      await kill(child);
      await kill(gateway);
      await fleet.edge(0);
      let right = 0;
      for (let i = 0; i < 50; i++) {
        const answer = await sensor.ask(i);
        assert.equal(answer.error, undefined);
        if (answer.class === String(sensor.label(i))) right++;
      }
      assert.ok(right > 40, `${right} of 50`);
      await sensor.close();
    }));
});
