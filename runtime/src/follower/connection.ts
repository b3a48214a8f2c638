import { setTimeout as sleep } from 'node:timers/promises';
import { Flow } from '../flow.js';
import type { Logger } from '../logger.js';
import { type BrokerConfig, type ConnectOptions, connectBroker, type MqttClient } from '../mqtt.js';
import { Absence } from './absence.js';
import type { Login } from './identity.js';

const FAREWELL_MS = 1000;

/** Makes a client that is not connected yet. */
export type MakeClient = (broker: BrokerConfig, options: ConnectOptions, log: Logger) => MqttClient;

interface ConnectionParts {
  readonly broker: BrokerConfig;
  readonly clientId: string;
  readonly login: Login;
  readonly will: { readonly topic: string; readonly payload: Uint8Array };
  /** See Absence. */
  readonly catchUpSeconds: number;
  readonly log: Logger;
  readonly makeClient: MakeClient | undefined;
  /** What to subscribe to. */
  topics(): string[];
  /** @param waitMs to wait before it asks for anything: it was away for long. */
  connected(waitMs: number): void;
  lost(): void;
  message(topic: string, payload: Uint8Array): void;
}

/** A follower's connection to the cloud's broker: one session over all reconnects, with a last will. */
export class CloudConnection {
  readonly client: MqttClient;
  readonly flow: Flow;

  constructor(private readonly parts: ConnectionParts) {
    const { broker, clientId, will, login, catchUpSeconds, log, makeClient = connectBroker } = parts;
    const absence = new Absence(catchUpSeconds);
    this.client = makeClient(broker, { clientId, will, persistent: true, manual: true, ...login }, log);
    this.flow = new Flow(this.client, broker.transfer);
    this.client.on('connect', () => {
      this.client.subscribe(parts.topics(), { qos: 1 }, (error) => {
        if (error) log.warn({ err: error }, 'subscription failed');
      });
      const waitMs = absence.back();
      if (waitMs > 0) log.info({ waitMs: Math.round(waitMs) }, 'back after a long time: catching up in a while');
      parts.connected(waitMs);
    });
    this.client.on('close', () => {
      this.flow.clear();
      absence.lost();
      parts.lost();
    });
    this.client.on('message', (topic, payload) => parts.message(topic, payload));
  }

  get connected(): boolean {
    return this.client.connected;
  }

  open(): void {
    this.client.connect();
  }

  publish(topic: string, payload: Uint8Array, retain = false): void {
    this.client.publish(topic, Buffer.from(payload), { qos: 1, retain }, (error) => {
      if (error) this.parts.log.debug({ err: error, topic }, 'message not delivered');
    });
  }

  /** Says a last status, where there is somebody to say it to, and ends. */
  async close(topic: string, farewell: Uint8Array): Promise<void> {
    if (this.client.connected) {
      const sent = this.client.publishAsync(topic, Buffer.from(farewell), { qos: 1, retain: true });
      // A broker that goes down at the same moment never answers; the last will says the same.
      await Promise.race([sent.catch(() => undefined), sleep(FAREWELL_MS, undefined, { ref: false })]);
    }
    await this.client.endAsync(true);
  }
}
