import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { CodedError, ProtocolError } from './errors.js';
import { sha256Hex } from './layout.js';
import { encodeMessage, type Message, type MessageType } from './messages.js';

/** Bytes of an Ed25519 signature (RFC 8032). */
export const SIGNATURE_BYTES = 64;

const KEY_LOST =
  'restore it from a backup; without one, remove it, and have whoever knows the old key know the new one (ECAVG_REFUSED_BAD_SIGNATURE)';

/** An Ed25519 key pair; the private half leaves it only as PEM, for a file of its owner. */
export class Signer {
  /** 64 hex digits. */
  readonly key: string;
  private constructor(private readonly secret: KeyObject) {
    const { x = '' } = createPublicKey(secret).export({ format: 'jwk' });
    this.key = Buffer.from(x, 'base64url').toString('hex');
  }

  /** A new key pair. */
  static generate(): Signer {
    return new Signer(generateKeyPairSync('ed25519').privateKey);
  }

  /**
   * Reads a private key from PKCS#8 PEM.
   * @param file that it is from, for the message. @throws CodedError where it is no Ed25519 key.
   */
  static fromPem(pem: string, file = 'the key'): Signer {
    let key: KeyObject | undefined;
    try {
      key = createPrivateKey(pem);
    } catch (cause) {
      throw new CodedError('ECAVG_SECRET_FILE', `${file} is damaged: ${KEY_LOST}`, { cause });
    }
    if (key.asymmetricKeyType !== 'ed25519')
      throw new CodedError('ECAVG_SECRET_FILE', `${file} is no Ed25519 key but ${key.asymmetricKeyType}: ${KEY_LOST}`);
    return new Signer(key);
  }

  /** The private key as PKCS#8 PEM. */
  toPem(): string {
    return this.secret.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  sign(bytes: Uint8Array): Uint8Array {
    return sign(null, bytes, this.secret);
  }
}

/** Whether `signature` over `bytes` was made with the public key (64 hex digits). */
export function isSignedBy(key: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    const x = Buffer.from(key, 'hex').toString('base64url');
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, bytes, publicKey, signature);
  } catch {
    return false;
  }
}

/** Canonical JSON (RFC 8785): keys sorted, no spaces, numbers as JavaScript prints them; absent fields are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, v]) => v !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, v]) => `${JSON.stringify(name)}:${canonicalJson(v)}`).join(',')}}`;
}

/** Messages that are believed only with a signature. */
export type SignedType = 'manifest' | 'round';
type Signed<T extends MessageType> = Omit<Message<T>, 'v' | 'type' | 'key' | 'signature'>;

/** What a message's signature covers: `ecavg`, its type and a line feed, then its canonical JSON without the signature. */
function covered(type: SignedType, message: object): Uint8Array {
  const { signature: _, ...rest } = message as { signature?: Uint8Array };
  return Buffer.from(`ecavg ${type}\n${canonicalJson(rest)}`);
}

/**
 * Encodes a message with its signer's key and signature.
 * @throws ProtocolError `schema` that names the field.
 */
export function encodeSigned<T extends SignedType>(type: T, body: Signed<T>, signer: Signer): Uint8Array {
  const whole = { v: 1, type, ...body, key: signer.key };
  return encodeMessage(type, { ...whole, signature: signer.sign(covered(type, whole)) } as unknown as Message<T>);
}

/**
 * Checks that a message was signed with the key that it names. Whether to trust that key is up to the receiver.
 * @throws ProtocolError `bad-signature`.
 */
export function checkSigned(message: Message<SignedType>): void {
  if (!isSignedBy(message.key, covered(message.type, message), message.signature)) {
    throw new ProtocolError(
      'bad-signature',
      `the ${message.type}'s signature is not one of key ${message.key.slice(0, 16)}`,
    );
  }
}

/**
 * Proves that whoever enrols key `key` for `edge` holds a one-time token: HMAC-SHA256, under the sha256 of the token, of
 * `edge`, a space and the key, in hex. The token itself never travels.
 */
export function enrolmentProof(tokenHash: string, edge: string, key: string): string {
  return createHmac('sha256', Buffer.from(tokenHash, 'hex')).update(`${edge} ${key}`).digest('hex');
}

/** sha256 (hex) of a one-time token, without white space around it: what a cloud keeps of it. */
export function tokenHash(token: string): string {
  return sha256Hex(Buffer.from(token.trim()));
}

/** Compares two hex texts in constant time. */
export function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
