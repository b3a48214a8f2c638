import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Signer } from '@ecavg/protocol';
import { readOrCreate } from '../files.js';
import { type BrokerConfig, readSecret } from '../mqtt.js';
import { nextSession } from '../session.js';
import { opaqueState } from '../stateKinds.js';
import { Trust } from './trust.js';

opaqueState({
  kind: 'key of the gateway',
  at: { edge: 'key.pem' },
  holds: 'the private key that updates are signed with',
  told: 'PEM',
  removed: 'no: the cloud refuses the gateway under another key until it is forgotten there, or enrolled anew',
});

opaqueState({
  kind: 'password at the broker',
  at: { edge: 'broker-password', region: 'upstream/broker-password' },
  holds: 'the password that the node gave itself with `broker.enrolTokenFile`',
  told: 'a secret, one line of text',
  removed: 'no: the broker has to give the node another one-time token',
});

/** What a node is called, and where it belongs. */
export interface Names {
  readonly fleet: string;
  readonly model: string;
  /** Its name there; unique among the fleet's edges. */
  readonly edge: string;
}

/** How a node names itself to a broker that knows users. */
export interface Login {
  readonly username?: string;
  readonly password?: string;
}

/** Who a node is to the cloud that it follows, and which cloud it believes. */
export interface Identity {
  readonly signer: Signer;
  readonly trust: Trust;
  /** Start of this run: orders a late last will against a rebirth. */
  readonly session: number;
  readonly login: Login;
}

interface IdentityFiles {
  readonly edge: string;
  /** PEM file of its key, made on first use. */
  readonly keyFile: string;
  /** Of `trust.json`, `session` and, with a one-time token, `broker-password`. */
  readonly folder: string;
  readonly broker: BrokerConfig;
  /** The cloud's public key; without one, the first key seen is kept. */
  readonly cloudKey: string | undefined;
}

/** Opens what a node is known by, and makes on first use what there is not. Counts as a run: the session is a new one. */
export async function openIdentity({ edge, keyFile, folder, broker, cloudKey }: IdentityFiles): Promise<Identity> {
  const signer = Signer.fromPem(await readOrCreate(keyFile, () => Signer.generate().toPem()), keyFile);
  const trust = await Trust.open(folder, cloudKey);
  const session = await nextSession(join(folder, 'session'));
  return { signer, trust, session, login: await brokerLogin(edge, broker, folder) };
}

/** With a one-time token, the password is the node's own. */
async function brokerLogin(edge: string, broker: BrokerConfig, folder: string): Promise<Login> {
  const username = broker.passwordFile || broker.enrolTokenFile || broker.certFile ? { username: edge } : {};
  if (!broker.enrolTokenFile) return username;
  const password = await readOrCreate(join(folder, 'broker-password'), () => randomBytes(18).toString('base64url'));
  return { ...username, password: `${readSecret(broker.enrolTokenFile)}:${password}` };
}
