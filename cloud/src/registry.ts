import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Artifact, readArtifact } from '@ecavg/models';
import { sha256Hex } from '@ecavg/protocol';
import { ConfigError, listFolder, readIfThere, readJson, writeDurable } from '@ecavg/runtime';
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
  /** What leads here from the parent. */
  difference: z.object({ sha256: z.string(), from: z.string(), codec: z.string() }).optional(),
});

/** One accepted version of a model. */
export type Version = z.infer<typeof versionSchema>;

const sourceSchema = z.object({ from: z.string(), batch: z.int() });

/** What the initial model was made from: an architecture or a file, and the batch of its training graph. */
export type ModelSource = z.infer<typeof sourceSchema>;

const indexSchema = z.object({ format: z.literal(1), source: sourceSchema, versions: z.array(versionSchema) });

/** How many versions keep their `.onnx`; the index keeps every version's lineage and metrics. */
const KEEP_BLOBS = 20;

/** Versions of one model: content-addressed files and an index that says what came from what. */
export class Registry {
  readonly #versions: Version[];

  private constructor(
    private readonly folder: string,
    private readonly source: ModelSource,
    versions: Version[],
  ) {
    this.#versions = versions;
  }

  /** @throws ConfigError where the folder holds versions of another source. */
  static async open(folder: string, source: ModelSource): Promise<Registry> {
    const index = await readJson(join(folder, 'index.json'), indexSchema);
    if (index && (index.source.from !== source.from || index.source.batch !== source.batch)) {
      throw new ConfigError(
        `${folder} holds versions made from ${index.source.from} with batch ${index.source.batch}; the settings say ${source.from} with batch ${source.batch}: take another model.id or dataDir, or put the settings back`,
      );
    }
    return new Registry(folder, source, index?.versions ?? []);
  }

  get versions(): readonly Version[] {
    return this.#versions;
  }

  get head(): Version | undefined {
    return this.#versions.at(-1);
  }

  /** Stores an artifact as the next version; it exists once its blobs and the index are on disk. */
  async add(
    artifact: Artifact,
    about: Pick<Version, 'round' | 'createdAt' | 'metrics'>,
    difference?: Difference,
  ): Promise<Version> {
    const parent = this.head;
    const train = sha256Hex(artifact.train);
    const version = {
      ...about,
      version: (parent?.version ?? 0) + 1,
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
    const versions = [...this.#versions, version];
    await writeDurable(
      join(this.folder, 'index.json'),
      JSON.stringify({ format: 1, source: this.source, versions }, null, 1),
    );
    this.#versions.push(version);
    await this.#prune();
    return version;
  }

  /** Throws where a file is missing or damaged. */
  async load(version: Version): Promise<Artifact> {
    return readArtifact(await this.blob(version.sha256), await this.blob(version.train));
  }

  async blob(sha256: string): Promise<Uint8Array> {
    const bytes = await readIfThere(this.#blob(sha256));
    if (!bytes) throw new Error(`registry ${this.folder} has no file ${sha256}`);
    if (sha256Hex(bytes) !== sha256)
      throw new Error(`registry file ${this.#blob(sha256)} is damaged: restore it from a backup`);
    return bytes;
  }

  #blob(sha256: string): string {
    return join(this.folder, 'blobs', `${sha256}.blob`);
  }

  async #prune(): Promise<void> {
    const kept = new Set(
      this.#versions
        .slice(-KEEP_BLOBS)
        .flatMap((v) => [v.sha256, v.train, v.difference?.sha256])
        .map((sha256) => `${sha256}.blob`),
    );
    const folder = join(this.folder, 'blobs');
    for (const name of await listFolder(folder)) if (!kept.has(name)) await rm(join(folder, name), { force: true });
  }
}
