import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { encodeMessage, enrolmentProof, Signer, tokenHash } from '@ecavg/protocol';
import { readOrCreate, readSecret, Trust } from '@ecavg/runtime';
import type { GatewayConfig, UplinkConfig } from './config.js';
import type { EdgeStore } from './edgeStore.js';

/** Who this gateway is, and whom it believes. */
export interface Identity {
  readonly signer: Signer;
  readonly trust: Trust;
  /** Start of this run: orders a late last will against a rebirth. */
  readonly session: number;
  readonly login: Login;
}

export interface Login {
  readonly username?: string;
  readonly password?: string;
}

export async function openIdentity(
  config: GatewayConfig & Pick<UplinkConfig, 'trust'>,
  store: EdgeStore,
): Promise<Identity> {
  const { dataDir } = config;
  const signer = Signer.fromPem(await readOrCreate(join(dataDir, 'key.pem'), () => Signer.generate().toPem()));
  const trust = await Trust.open(dataDir, config.trust.cloudKey);
  return { signer, trust, session: await store.nextSession(), login: await brokerLogin(config) };
}

/** How this gateway names itself to a broker that knows users; with a one-time token, the password is its own. */
async function brokerLogin({ broker, edge, dataDir }: GatewayConfig): Promise<Login> {
  const username = broker.passwordFile || broker.enrolTokenFile || broker.certFile ? { username: edge } : {};
  if (!broker.enrolTokenFile) return username;
  const password = await readOrCreate(join(dataDir, 'broker-password'), () => randomBytes(18).toString('base64url'));
  return { ...username, password: `${readSecret(broker.enrolTokenFile)}:${password}` };
}

/** Asks the cloud to know this edge by its key, with proof of a one-time token. */
export function enrolRequest(
  { edge, model }: Pick<GatewayConfig, 'edge' | 'model'>,
  { key }: Signer,
  token: string,
): Buffer {
  const proof = enrolmentProof(tokenHash(token), edge, key);
  return Buffer.from(encodeMessage('enrol', { edge, model, key, proof }));
}
