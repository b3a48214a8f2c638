import { encodeMessage, enrolmentProof, type Receipt, type Signer, tokenHash } from '@ecavg/protocol';
import type { Logger } from '../logger.js';
import { readSecret } from '../mqtt.js';
import type { Identity, Names } from './identity.js';

/** Asks a cloud to know a node by its key, with proof of a one-time token; the token itself does not travel. */
export function enrolRequest({ edge, model }: Pick<Names, 'edge' | 'model'>, { key }: Signer, token: string): Buffer {
  const proof = enrolmentProof(tokenHash(token), edge, key);
  return Buffer.from(encodeMessage('enrol', { edge, model, key, proof }));
}

interface EnrolmentParts {
  readonly names: Pick<Names, 'edge' | 'model'>;
  readonly identity: Pick<Identity, 'signer' | 'trust'>;
  /** Undefined: the cloud wants none. */
  readonly tokenFile: string | undefined;
  readonly log: Logger;
  publish(request: Uint8Array): void;
}

/** Makes a node known to its cloud: asks at every connection until the cloud has said yes. */
export class Enrolment {
  constructor(private readonly parts: EnrolmentParts) {}

  /** @throws ConfigError where the token can't be read. */
  ask(): void {
    const { names, identity, tokenFile, publish } = this.parts;
    const { signer, trust } = identity;
    if (tokenFile && !trust.isEnrolled(signer.key)) publish(enrolRequest(names, signer, readSecret(tokenFile)));
  }

  /** Takes a receipt that names no update; true where the node is known now. */
  async answered({ status, reason, detail }: Receipt): Promise<boolean> {
    const { identity, log } = this.parts;
    if (status !== 'accepted') {
      log.error({ reason, detail }, 'a message was refused');
      return false;
    }
    await identity.trust.enrolled(identity.signer.key);
    log.info('enrolled');
    return true;
  }
}
