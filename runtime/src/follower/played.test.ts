// For tests of the follower: one that follows a fake cloud, with models of a few numbers, and all that it was told and said.
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { decodeMessage, encodeMessage, type Receipt, type StatusMessage, sha256Hex } from '@ecavg/protocol';
import type { MqttClient } from 'mqtt';
import { pino } from 'pino';
import { brokerSchema } from '../mqtt.js';
import { BlobStore } from './blobStore.js';
import { bytesOf, EDGE, FakeClient, FakeCloud, FLEET, layoutOf, MODEL } from './fakeCloud.test.js';
import { Follower, type FollowerHandlers, type FollowerParts } from './follower.js';
import { openIdentity } from './identity.js';
import type { ModelReader, VersionFiles } from './model.js';
import type { OutboxEntry, OutboxStore, Outcome } from './outbox.js';

export const root = mkdtempSync(join(tmpdir(), 'ecavg-follower-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** A model is its weights. */
const models: ModelReader<VersionFiles> = {
  read(infer, train) {
    if (infer.length % 4 !== 0) throw new Error('no model');
    const weights = new Float32Array(new Uint8Array(infer).buffer);
    return { infer, train, weights, layout: layoutOf(weights.length), sha256: sha256Hex(infer) };
  },
  withWeights: (version, weights) => models.read(bytesOf(weights), version.train),
};

/** An outbox that outlives its follower, as a disk does. */
export class MemoryOutbox implements OutboxStore<OutboxEntry> {
  entry: OutboxEntry | undefined;
  readonly ended: Outcome[] = [];
  /** How many times more it fails. */
  failures = 0;

  async load(): Promise<OutboxEntry | undefined> {
    return this.entry;
  }

  async save(entry: OutboxEntry): Promise<void> {
    this.entry = entry;
  }

  async settle(_entry: OutboxEntry, outcome: Outcome): Promise<void> {
    if (this.failures-- > 0) throw new Error('the disk is full');
    this.ended.push(outcome);
    this.entry = undefined;
  }
}

export type TestFollower = Follower<VersionFiles, OutboxEntry>;

/** A follower with all that it was told and said. */
export interface Played {
  readonly follower: TestFollower;
  readonly client: FakeClient;
  readonly cloud: FakeCloud;
  readonly outbox: MemoryOutbox;
  /** What the handlers were called with, in order: `taken 2`. */
  readonly calls: string[];
  readonly logged: { level: number; msg: string; reason?: string; detail?: string }[];
  /** Resolves once `calls` has this. */
  called(what: string): Promise<void>;
  /** Resolves once a line is logged that says this. */
  said(text: string): Promise<void>;
  hear(topic: string, payload: Uint8Array): void;
  receipt(receipt: Partial<Receipt> & Pick<Receipt, 'id' | 'status'>): void;
  statuses(): StatusMessage[];
  /** Resolves when all steps so far are over. */
  idle(): Promise<void>;
}

type Handlers = FollowerHandlers<VersionFiles, OutboxEntry>;
type Parts = FollowerParts<VersionFiles, OutboxEntry>;

/** Starts a follower in a folder; `before` is one that ran there. */
export async function follow(
  name: string,
  {
    handlers = {},
    parts = {},
    before,
  }: { handlers?: Partial<Handlers>; parts?: Partial<Parts>; before?: Pick<Played, 'cloud' | 'outbox'> } = {},
): Promise<Played> {
  const folder = join(root, name);
  const cloud = before?.cloud ?? new FakeCloud();
  const outbox = before?.outbox ?? new MemoryOutbox();
  const calls: string[] = [];
  const logged: Played['logged'] = [];
  const heard = new EventEmitter().setMaxListeners(0);
  const call = (what: string): void => {
    calls.push(what);
    heard.emit('something');
  };
  const log = pino(
    { level: 'debug' },
    {
      write: (line: string) => {
        logged.push(JSON.parse(line));
        heard.emit('something');
      },
    },
  );
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((done) => {
      const look = (): void => {
        if (!holds()) return;
        heard.off('something', look);
        done();
      };
      heard.on('something', look);
      look();
    });
  const broker = brokerSchema.parse({ transfer: { chunkBytes: 1024 } });
  const identity = await openIdentity({
    edge: EDGE,
    keyFile: join(folder, 'key.pem'),
    folder,
    broker,
    cloudKey: undefined,
  });
  let client: FakeClient | undefined;
  const follower: TestFollower = new Follower<VersionFiles, OutboxEntry>(
    {
      names: { fleet: FLEET, model: MODEL, edge: EDGE },
      broker,
      identity,
      tokenFile: undefined,
      resendSeconds: 0.02,
      catchUpSeconds: 0,
      canary: true,
      software: 'test',
      models,
      blobs: new BlobStore(join(folder, 'blobs')),
      outbox,
      log,
      makeClient: (_broker, { will }) => {
        client = new FakeClient(cloud.retained, will);
        return client as unknown as MqttClient;
      },
      ...parts,
    },
    {
      present: () => ({ online: true, samples: 7 }),
      fits: () => undefined,
      taken: async ({ manifest }) => call(`taken ${manifest.version}`),
      again: async ({ manifest }) => call(`again ${manifest.version}`),
      heard: ({ round }) => call(`heard ${round}`),
      round: async ({ round }) => call(`round ${round}`),
      settled: async (_, outcome) => call(outcome),
      retry: async () => call('retry'),
      ...handlers,
    },
  );
  await follower.start();
  after(() => follower.stop());
  if (!client) throw new Error('no client was made');
  const of = client;
  return {
    follower,
    client: of,
    cloud,
    outbox,
    calls,
    logged,
    called: (what) => until(() => calls.includes(what)),
    said: (text) => until(() => logged.some((l) => `${l.msg} ${l.reason} ${l.detail}`.includes(text))),
    hear: (topic, payload) => void of.emit('message', topic, payload),
    receipt: (receipt) =>
      void of.emit('message', cloud.topics.receipt(EDGE, MODEL), encodeMessage('receipt', { round: null, ...receipt })),
    statuses: () =>
      of.sent.filter((s) => s.topic === cloud.topics.status(EDGE)).map((s) => decodeMessage('status', s.payload)),
    idle: () => new Promise((done) => follower.steps.run(async () => done())),
  };
}
