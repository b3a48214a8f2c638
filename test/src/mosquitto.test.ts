import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { findProgram, freePort, TestFleet } from './harness.js';

const mosquitto = findProgram('mosquitto');

/**
 * What other brokers and services allow, as mosquitto can be told to: bytes of a packet, messages without acknowledgement,
 * messages that wait for a client.
 */
const LIMITS = {
  'AWS IoT: 128 KiB a message, 100 unacknowledged': { max_packet_size: 131_072, max_inflight_messages: 100 },
  'Azure Event Grid: 64 KiB in flight': {
    max_packet_size: 65_536,
    max_inflight_messages: 1,
    max_inflight_bytes: 65_536,
  },
  'EMQX: 32 in flight, 1,000 waiting': {
    max_packet_size: 1_048_576,
    max_inflight_messages: 32,
    max_queued_messages: 1000,
  },
  'HiveMQ: 10 in flight': { max_inflight_messages: 10 },
  'Mosquitto: 20 in flight, 1,000 waiting': { max_inflight_messages: 20, max_queued_messages: 1000 },
};

class Mosquitto {
  readonly folder = mkdtempSync(join(tmpdir(), 'ecavg-mosquitto-'));
  #process: ChildProcess | undefined;

  async start(path: string, limits: Record<string, number>): Promise<string> {
    const port = await freePort();
    const file = join(this.folder, 'mosquitto.conf');
    const lines = Object.entries(limits).map(([name, value]) => `${name} ${value}`);
    writeFileSync(
      file,
      [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'log_dest stderr', ...lines, ''].join('\n'),
    );
    const child = spawn(path, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    await new Promise<void>((up, failed) => {
      let said = '';
      child.stderr.on('data', (text: Buffer) => {
        said += text.toString();
        if (/mosquitto version \S+ running/.test(said)) up();
      });
      child.once('exit', () => failed(new Error(`mosquitto did not start: ${said}`)));
    });
    return `mqtt://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('on mosquitto, without a broker of ours', { skip: 'skip' in mosquitto ? mosquitto.skip : false }, () => {
  const brokers: Mosquitto[] = [];
  after(() => Promise.all(brokers.map((b) => b.stop())));

  for (const [name, limits] of Object.entries(LIMITS)) {
    for (const protocol of ['auto', '3.1.1']) {
      test(`${name}, MQTT ${protocol}`, async () => {
        const broker = new Mosquitto();
        brokers.push(broker);
        const fleet = new TestFleet(2);
        try {
          assert.ok('path' in mosquitto);
          fleet.brokerUrl = await broker.start(mosquitto.path, limits);
          // Small chunks make many of them, updates without loss fill several.
          const transport = { broker: { url: fleet.brokerUrl, protocol, transfer: { chunkBytes: 16_384 } } };
          const { events } = await fleet.cloud({
            ...transport,
            codec: { preset: 'lossless' },
            publish: { wholeBytes: 60_000 },
            rounds: { count: 2, pretrainEpochs: 1, epochs: 1, quorum: 1 },
          });
          await Promise.all([0, 1].map((i) => fleet.edge(i, transport)));
          await events.until('finished');
          const closed = events.seen.filter((e) => e.type === 'round-closed');
          assert.deepEqual(
            closed.map((e) => (e.data.accepted as string[]).length),
            [2, 2],
          );
          const { versions, wire } = await fleet.state();
          assert.equal(versions.length, 3);
          assert.deepEqual(wire.rejected, {});
        } finally {
          await fleet.stop();
        }
      });
    }
  }
});
