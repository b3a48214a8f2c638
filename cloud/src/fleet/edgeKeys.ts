import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { enrolmentProof, identifier, type Message, ProtocolError, sameText, tokenHash } from '@ecavg/protocol';
import { listFolder, opaqueState, StateFile, StateFormat, unchanged } from '@ecavg/runtime';
import { z } from 'zod';

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const edgeSchema = z.object({
  edge: z.string(),
  key: hex,
  /** first-use: the first key seen for this edge. token: shown to hold a one-time token. */
  how: z.enum(['first-use', 'token']),
  since: z.number(),
  revoked: z.boolean().default(false),
});
const tokenSchema = z.object({ edge: z.string().nullable(), expiresAt: z.number() });
type Token = z.output<typeof tokenSchema>;

const keyFormat = new StateFormat({
  kind: 'key of a gateway',
  shared: true,
  at: { cloud: '[fleets/{fleet}/]keys/edges/{edge}.json', region: 'keys/edges/{edge}.json' },
  holds: 'the public key that the gateway is known by, and whether it was revoked',
  removed: 'no: whoever comes first under its name is believed, or must enrol again; a revoked one is revoked no more',
  format: 1,
  encoding: 'json',
  schema: edgeSchema,
  migrations: { 0: unchanged },
});

const tokenFormat = new StateFormat({
  kind: 'enrolment token',
  shared: true,
  at: { cloud: '[fleets/{fleet}/]keys/tokens/{hash}.json' },
  holds: 'a one-time token that was not used yet: its hash, for whom, until when',
  removed: 'safe: that token is good for nothing any more',
  format: 1,
  encoding: 'json',
  mode: 0o600,
  schema: tokenSchema,
  migrations: { 0: unchanged },
});

opaqueState({
  kind: 'key of the cloud',
  at: { cloud: 'keys/cloud.pem', region: 'keys/cloud.pem' },
  holds: 'the private key that versions and rounds are signed with; of a region also its updates',
  told: 'PEM',
  removed: 'no: gateways refuse a cloud with another key',
});

/** What the cloud knows of an edge's identity. */
export type EdgeKey = z.output<typeof edgeSchema>;

const TOKEN_BYTES = 24;

/**
 * The public key of each edge, one file each: what the command line changes (revoked keys, new tokens) is in force at
 * once. Tokens are kept as hashes, and a file that is gone can't be used again.
 */
export class EdgeKeys {
  constructor(
    private readonly folder: string,
    /** open: the first key seen for an edge is kept. token: an edge must enrol first. */
    private readonly enrolment: 'open' | 'token' = 'open',
  ) {}

  /** @throws `unknown-edge` or `bad-signature` unless `key` is the edge's. */
  async check(edge: string, key: string): Promise<void> {
    const known = await this.#read(edge);
    if (!known) {
      if (this.enrolment === 'token')
        throw new ProtocolError('unknown-edge', `edge ${edge} is not enrolled: give it a token of "ecavg cloud token"`);
      await this.#write({ edge, key, how: 'first-use', since: Date.now(), revoked: false });
      return;
    }
    if (known.revoked) throw new ProtocolError('unknown-edge', `the key of edge ${edge} was revoked`);
    if (known.key !== key) {
      throw new ProtocolError(
        'bad-signature',
        `edge ${edge} is known by key ${known.key.slice(0, 16)}, not ${key.slice(0, 16)}: if it was set up anew, run "ecavg cloud revoke --forget"`,
      );
    }
  }

  /**
   * Takes an edge's key on proof of a token, once.
   * @throws `bad-token`.
   */
  async enrol({ edge, key, proof }: Pick<Message<'enrol'>, 'edge' | 'key' | 'proof'>): Promise<void> {
    const known = await this.#read(edge);
    // The receipt was lost: the same key asks again.
    if (known?.how === 'token' && known.key === key && !known.revoked) return;
    for (const name of await listFolder(this.#tokens)) {
      const hash = name.replace('.json', '');
      const token = await this.#token(hash).read();
      if (!token) continue;
      if (token.expiresAt < Date.now()) {
        await this.#token(hash).remove();
        continue;
      }
      if (token.edge !== null && token.edge !== edge) continue;
      if (!sameText(enrolmentProof(hash, edge, key), proof)) continue;
      await this.#token(hash).remove();
      await this.#write({ edge, key, how: 'token', since: Date.now(), revoked: false });
      return;
    }
    throw new ProtocolError(
      'bad-token',
      `no token fits edge ${edge}: it was used, has expired, or is for another edge`,
    );
  }

  /** Makes a one-time token, for one edge or (null) for any. */
  async token(edge: string | null, expiresAt: number): Promise<string> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const about = { edge: edge === null ? null : identifier(edge, 'edge'), expiresAt };
    await this.#token(tokenHash(token)).write(about);
    return token;
  }

  /** Refuses an edge's key from now on; `forget` lets it be known by another one. False where it is not known. */
  async revoke(edge: string, forget: boolean): Promise<boolean> {
    const known = await this.#read(edge);
    if (!known) return false;
    if (forget) await this.#file(edge).remove();
    else await this.#write({ ...known, revoked: true });
    return true;
  }

  async list(): Promise<EdgeKey[]> {
    const names = await listFolder(join(this.folder, 'edges'));
    const all = await Promise.all(names.map((name) => this.#read(name.replace(/\.json$/, ''))));
    return all.filter((e) => e !== undefined);
  }

  get #tokens(): string {
    return join(this.folder, 'tokens');
  }

  #token(hash: string): StateFile<Token> {
    return new StateFile(join(this.#tokens, `${hash}.json`), tokenFormat);
  }

  #file(edge: string): StateFile<EdgeKey> {
    return new StateFile(join(this.folder, 'edges', `${identifier(edge, 'edge')}.json`), keyFormat);
  }

  /** Commands may be writing beside the daemon: a file of an older format is left as it is until it changes. */
  #read(edge: string): Promise<EdgeKey | undefined> {
    return this.#file(edge).read();
  }

  #write(edge: EdgeKey): Promise<void> {
    return this.#file(edge.edge).write(edge);
  }
}
