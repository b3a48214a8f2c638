import type { Artifact } from '@ecavg/models';
import {
  type BlobRef,
  blobRef,
  CodedError,
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
  /** Digest of the stream's settings; see streamDigest of @ecavg/models. */
  readonly stream?: string;
  readonly share?: Manifest['share'];
}

export interface PublisherParts {
  readonly client: MqttClient;
  readonly signer: Signer;
  readonly topics: Topics;
  readonly model: string;
  readonly task: TaskInfo;
  /** A model of at most this size is also published in one message. */
  readonly wholeBytes: number;
  readonly transfer: BrokerConfig['transfer'];
  readonly log: Logger;
}

interface Published {
  readonly body: Unsigned<Manifest>;
  readonly artifact: Artifact;
  readonly difference: Uint8Array | undefined;
}

/** What is published of versions; one on trial stands beside the one in force. */
type State =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'in-force'; readonly version: Published }
  | { readonly kind: 'on-trial'; readonly version: Published; readonly canary: Published };

/** Publishes versions and rounds as retained messages. */
export class Publisher {
  #state: State = { kind: 'nothing' };
  /** The last round that was published; undefined before the first. */
  #round: Unsigned<RoundMessage> | undefined;
  readonly #flow: Flow;

  constructor(private readonly parts: PublisherParts) {
    this.#flow = new Flow(parts.client, parts.transfer);
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
    const old = this.#version?.body;
    const made = this.#published(version, artifact, difference);
    const canary = this.#canary;
    this.#state = canary ? { kind: 'on-trial', version: made, canary } : { kind: 'in-force', version: made };
    await this.#sendVersion();
    // After a restart the old chunk count is not known from memory, but a version's size never changes.
    const stale = old?.infer ?? (previous && { ...this.#ref(artifact.infer), sha256: previous.sha256 });
    if (stale && stale.sha256 !== artifact.sha256) await this.#clear(stale);
    if (old?.difference && old.difference.sha256 !== version.difference?.sha256) await this.#clear(old.difference);
  }

  /**
   * Offers a version to some edges, beside the one in force.
   * @throws CodedError where none is in force.
   */
  async canary(
    version: Version,
    artifact: Artifact,
    difference: Uint8Array | undefined,
    edges: readonly string[],
  ): Promise<void> {
    const inForce = this.#version;
    if (!inForce) throw new CodedError('ECAVG_PROGRAM', 'a version goes on trial, and none is in force');
    const published = this.#published(version, artifact, difference);
    const canary = { ...published, body: { ...published.body, canary: [...edges] } };
    this.#state = { kind: 'on-trial', version: inForce, canary };
    await this.#sendCanary();
  }

  /** Takes the offer back; the blobs stay where the version has come into force. */
  async endCanary(): Promise<void> {
    if (this.#state.kind !== 'on-trial') return;
    const { version, canary } = this.#state;
    this.#state = { kind: 'in-force', version };
    await this.#retain(this.parts.topics.canary(this.parts.model), new Uint8Array());
    const { infer, difference } = canary.body;
    if (infer.sha256 === version.body.infer.sha256) return;
    await this.#clear(infer);
    if (difference) await this.#clear(difference);
  }

  async round(round: Unsigned<RoundMessage>): Promise<void> {
    this.#round = round;
    await this.#retain(this.parts.topics.round(this.parts.model), encodeSigned('round', round, this.parts.signer));
  }

  /** Says everything again: a broker that restarted may have lost what it retained. */
  async repeat(): Promise<void> {
    await this.#sendVersion();
    await this.#sendCanary();
    if (this.#round) await this.round(this.#round);
  }

  get #version(): Published | undefined {
    return this.#state.kind === 'nothing' ? undefined : this.#state.version;
  }

  get #canary(): Published | undefined {
    return this.#state.kind === 'on-trial' ? this.#state.canary : undefined;
  }

  #published(version: Version, artifact: Artifact, difference: Uint8Array | undefined): Published {
    const body = {
      fleet: this.parts.topics.fleet,
      model: this.parts.model,
      version: version.version,
      parent: version.parent,
      round: version.round,
      createdAt: version.createdAt,
      infer: this.#ref(artifact.infer),
      train: this.#ref(artifact.train),
      ...(difference && version.difference && { difference: { ...version.difference, ...this.#ref(difference) } }),
      layout: artifact.layout.hash,
      input: artifact.info.input.shape.slice(1),
      classes: [...this.parts.task.classes],
      simulatedData: this.parts.task.simulated,
      metrics: version.metrics,
      ...(this.parts.task.stream && { stream: this.parts.task.stream }),
      ...(this.parts.task.share && { share: this.parts.task.share }),
    };
    return { body, artifact, difference };
  }

  async #sendBlobs({ body, artifact, difference }: Published): Promise<void> {
    await this.#sendChunks(body.train, artifact.train);
    if (body.difference && difference) await this.#sendChunks(body.difference, difference);
    await this.#sendChunks(body.infer, artifact.infer);
  }

  async #sendCanary(): Promise<void> {
    const canary = this.#canary;
    if (!canary) return;
    await this.#sendBlobs(canary);
    await this.#retain(
      this.parts.topics.canary(this.parts.model),
      encodeSigned('manifest', canary.body, this.parts.signer),
    );
  }

  async #sendVersion(): Promise<void> {
    const version = this.#version;
    if (!version) return;
    const { body, artifact } = version;
    // The blobs of a version that was on trial are published already.
    if (body.infer.sha256 !== this.#canary?.body.infer.sha256) await this.#sendBlobs(version);
    await this.#retain(this.parts.topics.manifest(this.parts.model), encodeSigned('manifest', body, this.parts.signer));
    const { length } = artifact.infer;
    if (length > this.parts.wholeBytes) return;
    if (length + ENVELOPE < this.#flow.maximumPacket)
      await this.#retain(this.parts.topics.onnx(this.parts.model), artifact.infer);
    else
      this.parts.log.warn(
        { bytes: length },
        'the broker takes no message that large: sensors can not get the model in one',
      );
  }

  #ref(blob: Uint8Array): BlobRef {
    return blobRef(blob, this.parts.transfer.chunkBytes);
  }

  async #sendChunks(ref: BlobRef, blob: Uint8Array): Promise<void> {
    const chunks = splitBlob(blob, ref.chunkBytes);
    await Promise.all(
      chunks.map((data, i) => this.#retain(this.parts.topics.chunk(this.parts.model, ref.sha256, i), data)),
    );
  }

  async #clear(ref: BlobRef): Promise<void> {
    const indices = [...Array(chunkCount(ref)).keys()];
    await Promise.all(
      indices.map((i) => this.#retain(this.parts.topics.chunk(this.parts.model, ref.sha256, i), new Uint8Array())),
    );
  }

  /** Waits for the broker's acknowledgement; while the broker is away, `repeat` will say it on reconnecting. */
  async #retain(topic: string, payload: Uint8Array): Promise<void> {
    if (!this.parts.client.connected) return;
    await this.#flow.send(topic, payload, { retain: true });
  }
}
