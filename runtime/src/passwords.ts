import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/** scrypt (RFC 7914); OWASP's least for interactive log-ins is N = 2^17, here 2^15 as gateways come back all at once. */
const COST = { N: 1 << 15, r: 8, p: 1, maxmem: 64 << 20 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** `scrypt$N$r$p$salt$key`, base64. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, KEY_BYTES, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), key.toString('base64')].join('$');
}

/** A hash that no password fits. */
const NOBODY = `scrypt$${COST.N}$${COST.r}$${COST.p}$${Buffer.alloc(SALT_BYTES).toString('base64')}$${Buffer.alloc(KEY_BYTES).toString('base64')}`;

/**
 * Takes as long for a wrong password as for a right one, and for nobody's (`hash` undefined) as for somebody's; false for a
 * text that is no such hash.
 */
export async function isPassword(password: string, hash: string | undefined): Promise<boolean> {
  if (hash === undefined) return (await isPassword(password, NOBODY)) && false;
  const [kind, n, r, p, salt = '', key = ''] = hash.split('$');
  const wanted = Buffer.from(key, 'base64');
  const options = { N: Number(n), r: Number(r), p: Number(p), maxmem: 256 << 20 };
  if (kind !== 'scrypt' || wanted.length !== KEY_BYTES || !(options.N > 1)) return false;
  const got = await derive(password, Buffer.from(salt, 'base64'), KEY_BYTES, options);
  return timingSafeEqual(got, wanted);
}

/** 144 random bits, as text that can be typed. */
export const newPassword = (): string => randomBytes(18).toString('base64url');
