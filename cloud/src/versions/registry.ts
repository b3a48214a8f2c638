import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Artifact, OPTIMIZERS, readArtifact } from '@ecavg/models';
import { CodedError, sha256Hex } from '@ecavg/protocol';
import {
  ConfigError,
  listFolder,
  opaqueState,
  readIfThere,
  StateFile,
  StateFormat,
  writeDurable,
} from '@ecavg/runtime';
import { z } from 'zod';
import type { Difference } from './difference.js';

const versionSchema = z.object({
  version: z.int().min(1),
  sha256: z.string(),
  train: z.string(),
  parent: z.string().nullable(),
  /** Round that made it; 0 for the initial model. */
  round: z.int().min(0),
  createdAt: z.number(),
  metrics: z.record(z.string(), z.number()),
  /** current: for everybody. canary: on trial with some edges. withdrawn: it failed the trial. */
  state: z.enum(['current', 'canary', 'withdrawn']).default('current'),
  /** The edges that try it, and until when their reports are waited for. */
  canary: z.object({ edges: z.array(z.string()), until: z.number() }).optional(),
  /** The earlier version whose weights it brings back. */
  restores: z.int().optional(),
  /** What leads here from the parent. */
  difference: z.object({ sha256: z.string(), from: z.string(), codec: z.string() }).optional(),
});

/** One accepted version of a model. */
export type Version = z.infer<typeof versionSchema>;

const sourceSchema = z.object({
  from: z.string(),
  batch: z.int(),
  optimizer: z.enum(OPTIMIZERS).default('sgd'),
});

/** What the initial model was made from: an architecture or a file, and the batch of its training graph. */
export type ModelSource = z.infer<typeof sourceSchema>;

const indexSchema = z.object({
  source: sourceSchema,
  versions: z.array(versionSchema),
  /** While a version is pinned, it stays in force and no round opens. */
  pinned: z.int().nullable().default(null),
});
export type RegistryIndex = z.infer<typeof indexSchema>;

const indexFormat = new StateFormat({
  kind: 'index of versions',
  at: { cloud: '[fleets/{fleet}/]models/{model}/index.json' },
  holds: 'every version with its lineage and figures, and which one is pinned',
  removed: 'no: the model starts anew from version 1, which gateways refuse',
  format: 1,
  encoding: 'json-indented',
  schema: indexSchema,
  migrations: {},
});

opaqueState({
  kind: 'file of a version',
  at: { cloud: '[fleets/{fleet}/]models/{model}/blobs/{sha256}.blob' },
  holds: 'a model or its training graph (ONNX), or the coded difference to the version before',
  told: 'its sha256, in its name',
  removed: 'no: the version can be neither published nor restored',
});

const indexFile = (folder: string): StateFile<RegistryIndex> => new StateFile(join(folder, 'index.json'), indexFormat);

/** The index as it is on disk, for a look from outside; undefined where there is none. */
export const readIndex = (folder: string): Promise<RegistryIndex | undefined> => indexFile(folder).read();

/** The index as its file says it. */
export const indexText = (index: RegistryIndex): string => String(indexFormat.encode(index));

/** How many versions keep their `.onnx`; the index keeps every version's lineage and metrics. */
const KEEP_BLOBS = 20;

/** Versions of one model: content-addressed files and an index that says what came from what. */
export class Registry {
  #versions: readonly Version[];
  #pinned: number | null;

  private constructor(
    private readonly folder: string,
    private readonly source: ModelSource,
    index: RegistryIndex | undefined,
  ) {
    this.#versions = index?.versions ?? [];
    this.#pinned = index?.pinned ?? null;
  }

  /** @throws ConfigError where the folder holds versions of another source. */
  static async open(folder: string, source: ModelSource): Promise<Registry> {
    const index = await readIndex(folder);
    const text = ({ from, batch, optimizer }: ModelSource): string => `${from} with batch ${batch} and ${optimizer}`;
    if (index && text(index.source) !== text(source)) {
      throw new ConfigError(
        'ECAVG_CONFIG_COMBINATION',
        `${folder} holds versions made from ${text(index.source)}; the settings say ${text(source)}: take another model.id or dataDir, or put the settings back`,
      );
    }
    return new Registry(folder, source, index);
  }

  get versions(): readonly Version[] {
    return this.#versions;
  }

  /** The version in force; one on trial is not. */
  get head(): Version | undefined {
    return this.#versions.findLast((v) => v.state === 'current');
  }

  get newest(): Version | undefined {
    return this.#versions.at(-1);
  }

  /** The version on trial, if any. */
  get canary(): Version | undefined {
    return this.newest?.state === 'canary' ? this.newest : undefined;
  }

  get pinned(): number | null {
    return this.#pinned;
  }

  /** The version that was in force before the head. */
  get previous(): Version | undefined {
    return this.#versions.filter((v) => v.state === 'current').at(-2);
  }

  /** How many versions came into force after one; undefined where that one never was, or was rolled back. */
  staleness(sha256: string): number | undefined {
    const restored = this.#versions.findLastIndex((v) => v.restores !== undefined);
    const current = this.#versions.slice(Math.max(0, restored)).filter((v) => v.state === 'current');
    const at = current.findLastIndex((v) => v.sha256 === sha256);
    return at < 0 ? undefined : current.length - 1 - at;
  }

  /** Stores an artifact as the next version; it exists once its blobs and the index are on disk. */
  async add(
    artifact: Artifact,
    about: Pick<Version, 'round' | 'createdAt' | 'metrics' | 'canary'>,
    difference?: Difference,
  ): Promise<Version> {
    const parent = this.head;
    const train = sha256Hex(artifact.train);
    const version: Version = {
      ...about,
      state: about.canary ? 'canary' : 'current',
      version: (this.newest?.version ?? 0) + 1,
      sha256: artifact.sha256,
      train,
      parent: parent?.sha256 ?? null,
      ...(difference && {
        difference: { sha256: sha256Hex(difference.payload), from: difference.from, codec: difference.codec },
      }),
    };
    await writeDurable(this.#blob(artifact.sha256), artifact.infer);
    if (train !== parent?.train) await writeDurable(this.#blob(train), artifact.train);
    if (difference && version.difference) await writeDurable(this.#blob(version.difference.sha256), difference.payload);
    await this.#save([...this.#versions, version]);
    await this.#prune();
    return version;
  }

  /** The version on trial comes into force. */
  async promote(): Promise<void> {
    const { canary } = this;
    if (!canary) throw new CodedError('ECAVG_PROGRAM', 'no version is on trial');
    await this.#save(this.#versions.map((v) => (v === canary ? { ...v, state: 'current' as const } : v)));
  }

  /**
   * A new version with the weights of an earlier one, so that version numbers only ever grow. One on trial is withdrawn.
   * @throws ConfigError where there is no such version, or its file is no longer kept.
   */
  async restore(number: number, createdAt: number): Promise<Version> {
    const { head } = this;
    const old = this.#versions.find((v) => v.version === number);
    if (!head || !old)
      throw new ConfigError('ECAVG_NOT_FOUND', `there is no version ${number}: "ecavg cloud history" lists them`);
    if (!(await readIfThere(this.#blob(old.sha256))))
      throw new ConfigError(
        'ECAVG_NOT_FOUND',
        `the file of version ${number} is no longer kept: "ecavg cloud history" says which are`,
      );
    const { sha256, train, metrics } = old;
    const restores = old.restores ?? number;
    const round = this.newest?.round ?? 0;
    const version = { sha256, train, metrics, restores, round, createdAt, parent: head.sha256 };
    const next: Version = { ...version, state: 'current', version: (this.newest?.version ?? 0) + 1 };
    const others = this.#versions.map((v) => (v.state === 'canary' ? { ...v, state: 'withdrawn' as const } : v));
    await this.#save([...others, next]);
    return next;
  }

  async pin(version: number | null): Promise<void> {
    this.#pinned = version;
    await this.#save(this.#versions);
  }

  /** @throws where a file is missing or damaged. */
  async load(version: Version): Promise<Artifact> {
    return readArtifact(await this.blob(version.sha256), await this.blob(version.train));
  }

  async blob(sha256: string): Promise<Uint8Array> {
    const bytes = await readIfThere(this.#blob(sha256));
    if (!bytes) throw new CodedError('ECAVG_STATE_DAMAGED', `registry ${this.folder} has no file ${sha256}`);
    if (sha256Hex(bytes) !== sha256)
      throw new CodedError(
        'ECAVG_STATE_DAMAGED',
        `registry file ${this.#blob(sha256)} is damaged: restore it from a backup`,
      );
    return bytes;
  }

  async #save(versions: readonly Version[]): Promise<void> {
    await indexFile(this.folder).write({ source: this.source, versions: [...versions], pinned: this.#pinned });
    this.#versions = versions;
  }

  #blob(sha256: string): string {
    return join(this.folder, 'blobs', `${sha256}.blob`);
  }

  async #prune(): Promise<void> {
    const { head } = this;
    const kept = new Set(
      [...this.#versions.slice(-KEEP_BLOBS), ...(head ? [head] : [])]
        .flatMap((v) => [v.sha256, v.train, v.difference?.sha256])
        .map((sha256) => `${sha256}.blob`),
    );
    const folder = join(this.folder, 'blobs');
    for (const name of await listFolder(folder)) if (!kept.has(name)) await rm(join(folder, name), { force: true });
  }
}
