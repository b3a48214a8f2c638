import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** What is read when somebody asks for figures. */
export interface Levels {
  readonly clients: number;
  readonly retained: { readonly messages: number; readonly bytes: number };
  readonly queued: { readonly messages: number; readonly bytes: number };
  readonly dropped: number;
}

/** Counts for $SYS and Prometheus: one source for both. */
export class Counters {
  readonly registry = new Registry();
  readonly totals = {
    messagesReceived: 0,
    bytesReceived: 0,
    messagesSent: 0,
    bytesSent: 0,
    connections: 0,
    refused: 0,
    slowed: 0,
  };
  readonly #refused: Counter<'what'>;

  constructor(levels: () => Levels) {
    const registers = [this.registry];
    const { totals } = this;
    collectDefaultMetrics({ register: this.registry, prefix: 'ecavg_broker_' });
    const total = (name: string, help: string, get: () => number): void => {
      new Counter({
        name: `ecavg_broker_${name}`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(get());
        },
      });
    };
    const level = (name: string, help: string, get: () => number): void => {
      new Gauge({
        name: `ecavg_broker_${name}`,
        help,
        registers,
        collect() {
          this.set(get());
        },
      });
    };
    total('messages_received_total', 'PUBLISH packets taken from clients', () => totals.messagesReceived);
    total('bytes_received_total', 'Payload bytes of these', () => totals.bytesReceived);
    total('messages_sent_total', 'PUBLISH packets sent to clients', () => totals.messagesSent);
    total('bytes_sent_total', 'Payload bytes of these', () => totals.bytesSent);
    total('connections_total', 'Connections opened', () => totals.connections);
    total('slowed_total', 'Messages that had to wait because their client sent too fast', () => totals.slowed);
    total('queue_dropped_total', 'Messages that found the queue of a client full', () => levels().dropped);
    level('clients', 'Clients connected', () => levels().clients);
    level('retained_messages', 'Retained messages', () => levels().retained.messages);
    level('retained_bytes', 'Payload bytes of retained messages', () => levels().retained.bytes);
    level('queued_messages', 'Messages that wait for clients', () => levels().queued.messages);
    level('queued_bytes', 'Payload bytes of these', () => levels().queued.bytes);
    this.#refused = new Counter({
      name: 'ecavg_broker_refused_total',
      help: 'Log-ins, connections, messages, subscriptions and packets that were refused',
      labelNames: ['what'],
      registers,
    });
  }

  received(bytes: number): void {
    this.totals.messagesReceived++;
    this.totals.bytesReceived += bytes;
  }

  sent(bytes: number): void {
    this.totals.messagesSent++;
    this.totals.bytesSent += bytes;
  }

  connected(): void {
    this.totals.connections++;
  }

  slowed(): void {
    this.totals.slowed++;
  }

  refused(what: 'connect' | 'address' | 'packet' | 'publish' | 'subscribe'): void {
    this.totals.refused++;
    this.#refused.inc({ what });
  }
}
