import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Accounts } from './accounts.js';
import type { HttpConfig } from './config.js';
import { mayAct, type Role } from './roles.js';
import type { SessionAnswer } from './schema.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What it takes; `none`: nothing. Left out: viewer. */
    needs?: Role | 'none';
  }
  interface FastifyRequest {
    who: Who | undefined;
  }
}

/** Who asks, and how that is known. */
export type Who = SessionAnswer;

const COOKIE = 'ecavg_session';
const SESSION_MS = 12 * 3_600_000;
/** Sign-ins from one address in a minute. */
const TRIES = 10;
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/** Knows who asks: by a session's cookie, a program's token, or as `http.anonymous` says. */
export class Access {
  readonly #sessions = new Map<string, { user: string; hash: string; until: number }>();

  private constructor(
    private readonly accounts: Accounts,
    private readonly anonymous: HttpConfig['anonymous'],
    private readonly log: Logger,
  ) {}

  static async guard(
    app: FastifyInstance,
    accounts: Accounts,
    { anonymous }: HttpConfig,
    log: Logger,
  ): Promise<Access> {
    const access = new Access(accounts, anonymous, log);
    await app.register(cookie);
    await app.register(rateLimit, { global: false });
    app.decorateRequest('who', undefined);
    app.addHook('onRequest', async (request, reply) => {
      const needs = request.routeOptions.config.needs ?? 'viewer';
      request.who = await access.#who(request);
      if (needs === 'none') return;
      if (request.method !== 'GET' && request.who?.by !== 'token' && fromElsewhere(request))
        return refuse(reply, 403, 'this came from a page of another host');
      if (!request.who) return refuse(reply, 401, 'sign in, or send a token: "ecavg cloud api-token add" makes one');
      if (!mayAct(request.who.role, needs))
        return refuse(reply, 403, `${request.who.name} is ${request.who.role}; this takes ${needs}`);
    });
    return access;
  }

  /** For the route that signs in. */
  readonly limit = { rateLimit: { max: TRIES, timeWindow: 60_000 } };

  async signIn(request: FastifyRequest, reply: FastifyReply, name: string, password: string): Promise<Who | undefined> {
    const user = await this.accounts.signIn(name, password);
    if (!user) {
      this.log.warn({ user: name, from: request.ip, code: CODES[401] }, 'sign-in refused');
      return undefined;
    }
    this.#forget();
    const { role, hash } = user;
    const id = randomBytes(24).toString('base64url');
    this.#sessions.set(id, { user: name, hash, until: Date.now() + SESSION_MS });
    reply.setCookie(COOKIE, id, {
      path: '/',
      httpOnly: true,
      sameSite: 'strict',
      secure: request.protocol === 'https',
      maxAge: SESSION_MS / 1000,
    });
    this.log.info({ user: name, role, from: request.ip }, 'signed in');
    return { name, role, by: 'session' };
  }

  signOut(request: FastifyRequest, reply: FastifyReply): void {
    this.#sessions.delete(request.cookies[COOKIE] ?? '');
    reply.clearCookie(COOKIE, { path: '/' });
  }

  /** Whether who asked may still look: for streams, which go on after their sessions may have ended. */
  async still(request: FastifyRequest): Promise<boolean> {
    return mayAct((await this.#who(request))?.role, 'viewer');
  }

  async #who(request: FastifyRequest): Promise<Who | undefined> {
    const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (bearer !== undefined) {
      const token = await this.accounts.ofToken(bearer);
      return token && { ...token, by: 'token' };
    }
    const session = this.#sessions.get(request.cookies[COOKIE] ?? '');
    if (session && session.until > Date.now()) {
      const user = await this.accounts.user(session.user);
      // A new password ends the sessions that began with the old one.
      if (user?.hash === session.hash) return { name: session.user, role: user.role, by: 'session' };
    }
    // Against DNS rebinding: a page of another host whose name resolves to this machine must not act as its user.
    if (this.anonymous === 'operator' && !LOOPBACK.test(request.headers.host ?? '')) return undefined;
    return this.anonymous === 'none' ? undefined : { name: 'anonymous', role: this.anonymous, by: 'anonymous' };
  }

  #forget(): void {
    for (const [id, { until }] of this.#sessions) if (until <= Date.now()) this.#sessions.delete(id);
  }
}

/** Browsers say where a page that sends something comes from. */
function fromElsewhere({ headers }: FastifyRequest): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

const CODES = { 401: 'ECAVG_SIGN_IN', 403: 'ECAVG_FORBIDDEN' } as const satisfies Record<number, ErrorCode>;

function refuse(reply: FastifyReply, status: keyof typeof CODES, error: string): FastifyReply {
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="ecavg"');
  return reply.code(status).send({ error, code: CODES[status] });
}
