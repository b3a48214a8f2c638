import type { Artifact } from '@ecavg/models';
import {
  type BlobRef,
  blobRef,
  chunkCount,
  encodeSigned,
  type Manifest,
  type RoundMessage,
  type Signer,
  splitBlob,
  type Topics,
} from '@ecavg/protocol';
import { type BrokerConfig, Flow, type Logger, type MqttClient } from '@ecavg/runtime';
import type { Version } from './registry.js';

/** Room for a packet's head and topic. */
const ENVELOPE = 512;

type Unsigned<T> = Omit<T, 'v' | 'type' | 'key' | 'signature'>;

/** What a manifest says of the data and the task. */
export interface TaskInfo {
  readonly classes: readonly string[];
  readonly simulated: boolean;
}

/** Publishes versions and rounds as retained messages. */
export class Publisher {
  #manifest: { body: Unsigned<Manifest>; artifact: Artifact; difference: Uint8Array | undefined } | undefined;
  #round: Unsigned<RoundMessage> | undefined;
  readonly #flow: Flow;

  constructor(
    private readonly client: MqttClient,
    private readonly signer: Signer,
    private readonly topics: Topics,
    private readonly model: string,
    private readonly task: TaskInfo,
    private readonly wholeBytes: number,
    private readonly transfer: BrokerConfig['transfer'],
    private readonly log: Logger,
  ) {
    this.#flow = new Flow(client, transfer);
  }

  /**
   * Makes a version current: its chunks first, then the manifest, so that whoever reads the manifest finds
   * the chunks; then the chunks of `previous` are cleared.
   */
  async version(
    version: Version,
    artifact: Artifact,
    previous: Version | undefined,
    difference: Uint8Array | undefined,
  ): Promise<void> {
    const old = this.#manifest?.body;
    this.#manifest = {
      artifact,
      difference,
      body: {
        fleet: this.topics.fleet,
        model: this.model,
        version: version.version,
        parent: version.parent,
        round: version.round,
        createdAt: version.createdAt,
        infer: this.#ref(artifact.infer),
        train: this.#ref(artifact.train),
        ...(difference && version.difference && { difference: { ...version.difference, ...this.#ref(difference) } }),
        layout: artifact.layout.hash,
        input: artifact.info.input.shape.slice(1),
        classes: [...this.task.classes],
        simulatedData: this.task.simulated,
        metrics: version.metrics,
      },
    };
    await this.#sendVersion();
    // After a restart the old chunk count is not known from memory, but a version's size never changes.
    const stale = old?.infer ?? (previous && { ...this.#ref(artifact.infer), sha256: previous.sha256 });
    if (stale && stale.sha256 !== artifact.sha256) await this.#clear(stale);
    if (old?.difference && old.difference.sha256 !== version.difference?.sha256) await this.#clear(old.difference);
  }

  async round(round: Unsigned<RoundMessage>): Promise<void> {
    this.#round = round;
    await this.#retain(this.topics.round(this.model), encodeSigned('round', round, this.signer));
  }

  /** Says everything again: a broker that restarted may have lost what it retained. */
  async repeat(): Promise<void> {
    await this.#sendVersion();
    if (this.#round) await this.round(this.#round);
  }

  async #sendVersion(): Promise<void> {
    if (!this.#manifest) return;
    const { body, artifact, difference } = this.#manifest;
    await this.#sendChunks(body.train, artifact.train);
    if (body.difference && difference) await this.#sendChunks(body.difference, difference);
    await this.#sendChunks(body.infer, artifact.infer);
    await this.#retain(this.topics.manifest(this.model), encodeSigned('manifest', body, this.signer));
    const { length } = artifact.infer;
    if (length > this.wholeBytes) return;
    if (length + ENVELOPE < this.#flow.maximumPacket) await this.#retain(this.topics.onnx(this.model), artifact.infer);
    else
      this.log.warn({ bytes: length }, 'the broker takes no message that large: sensors can not get the model in one');
  }

  #ref(blob: Uint8Array): BlobRef {
    return blobRef(blob, this.transfer.chunkBytes);
  }

  async #sendChunks(ref: BlobRef, blob: Uint8Array): Promise<void> {
    const chunks = splitBlob(blob, ref.chunkBytes);
    await Promise.all(chunks.map((data, i) => this.#retain(this.topics.chunk(this.model, ref.sha256, i), data)));
  }

  async #clear(ref: BlobRef): Promise<void> {
    const indices = [...Array(chunkCount(ref)).keys()];
    await Promise.all(indices.map((i) => this.#retain(this.topics.chunk(this.model, ref.sha256, i), new Uint8Array())));
  }

  /** Waits for the broker's acknowledgement; while the broker is away, `repeat` will say it on reconnecting. */
  async #retain(topic: string, payload: Uint8Array): Promise<void> {
    if (!this.client.connected) return;
    await this.#flow.send(topic, payload, { retain: true });
  }
}
