import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { Random } from '@ecavg/models';
import mqttPacket, { type Packet } from 'mqtt-packet';

export interface Chaos {
  /** Every piece of data arrives so much later, in both directions, and up to as much again by lot. */
  readonly delayMs?: number;
  /** Share of the pieces that arrive only after a retransmission: a stall of `stallMs`, and everything behind them waits, as in TCP. */
  readonly loss?: number;
  readonly stallMs?: number;
  /** Share of the connections' pieces at which the connection breaks. */
  readonly breaks?: number;
  /** What clients publish comes in another order within a few messages, and some of it twice. */
  readonly shuffle?: boolean;
}

/** A network that does not behave, between clients and a broker. Seeded: which piece meets which fate follows from the seed. */
export class ChaosProxy {
  readonly #sockets = new Set<Socket>();
  readonly #random: Random;
  #server: Server | undefined;
  #cut = false;
  #port = 0;
  /** What it did. */
  readonly counts = { connections: 0, stalled: 0, broken: 0, duplicated: 0, reordered: 0 };

  constructor(
    private readonly target: number,
    public chaos: Chaos,
    seed: number,
  ) {
    this.#random = new Random(seed, 'chaos');
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server = createServer((client) => this.#connection(client)).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (typeof address !== 'object' || !address) throw new Error('no port');
    this.#port = address.port;
    return this;
  }

  /** Nothing gets through, and nobody is told: packets vanish. */
  cut(): void {
    this.#cut = true;
    for (const s of this.#sockets) s.pause();
  }

  /** The network is back; connections that hung meanwhile break. */
  heal(): void {
    this.#cut = false;
    for (const s of this.#sockets) s.destroy();
  }

  async stop(): Promise<void> {
    for (const s of this.#sockets) s.destroy();
    this.#server?.close();
  }

  #connection(client: Socket): void {
    this.counts.connections++;
    const server = dial(this.target, '127.0.0.1');
    for (const from of [client, server]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      if (this.#cut) from.pause();
    }
    this.#pipe(client, server, this.chaos.shuffle === true);
    this.#pipe(server, client, false);
  }

  #pipe(from: Socket, to: Socket, shuffle: boolean): void {
    const send = (data: Buffer): void => {
      if (!to.destroyed) to.write(data);
    };
    const out = shuffle ? this.#shuffled(send) : send;
    let tail: Promise<void> = Promise.resolve();
    from.on('close', () => {
      this.#sockets.delete(from);
      // What was under way arrives before the end.
      void tail.then(() => to.destroySoon());
    });
    from.on('data', (data: Buffer) => {
      if (this.#random.uniform() < (this.chaos.breaks ?? 0)) {
        this.counts.broken++;
        // Half of it arrives: a packet is torn.
        send(data.subarray(0, data.length >> 1));
        from.destroy();
        return;
      }
      const wait = this.#wait();
      if (wait === 0) out(data);
      else
        tail = tail.then(async () => {
          await new Promise((done) => setTimeout(done, wait));
          out(data);
        });
    });
  }

  #wait(): number {
    const { delayMs = 0, loss = 0, stallMs = 0 } = this.chaos;
    const stalled = this.#random.uniform() < loss;
    if (stalled) this.counts.stalled++;
    return delayMs * (1 + this.#random.uniform()) + (stalled ? stallMs : 0);
  }

  /** Parses what a client sends, and lets QoS 1 messages that follow one another change places, or come twice. */
  #shuffled(send: (data: Buffer) => void): (data: Buffer) => void {
    const parser = mqttPacket.parser();
    let held: Packet[] = [];
    let flush: NodeJS.Timeout | undefined;
    const let_go = (): void => {
      clearTimeout(flush);
      const order = this.#random.shuffle(held.map((_, i) => i));
      if (order.some((place, i) => place !== i)) this.counts.reordered++;
      for (const i of order) {
        const packet = held[i] as Packet;
        send(mqttPacket.generate(packet));
        if (this.#random.uniform() >= 0.3) continue;
        this.counts.duplicated++;
        send(mqttPacket.generate({ ...packet, dup: true } as Packet));
      }
      held = [];
    };
    parser.on('packet', (packet: Packet) => {
      if (packet.cmd === 'publish' && packet.qos === 1) {
        held.push(packet);
        clearTimeout(flush);
        // What stands alone is not to wait for company for long.
        if (held.length >= 4) let_go();
        else flush = setTimeout(let_go, 20);
        return;
      }
      let_go();
      send(mqttPacket.generate(packet));
    });
    parser.on('error', () => undefined);
    return (data) => {
      parser.parse(data);
    };
  }
}
