import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { CodedError, codeOf, type ErrorCode } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import type { Aedes, Client } from 'aedes';
import { mayPublish, maySubscribe, ROLES, type Role, rightsOf } from './acl.js';
import type { BrokerDaemonConfig } from './config.js';
import type { Counters } from './counters.js';
import type { Quota } from './quota.js';
import { Rates } from './rate.js';
import { storeFirst } from './storeFirst.js';
import type { User, Users } from './users.js';

/** What is known of a connection before and after its CONNECT. */
export interface Link {
  readonly address: string;
  readonly socket: Socket;
}

interface Session {
  readonly name: string;
  readonly user: User;
  readonly rights: Role;
}

const EVERYTHING: Role = { publish: ['#', '$SYS/#'], subscribe: ['#', '$SYS/#'] };
const MINUTE = 60_000;
const UNAVAILABLE = 3;
const BAD_CREDENTIALS = 4;

export interface SessionParts {
  readonly config: BrokerDaemonConfig;
  /** Without users everybody may do everything. */
  readonly users: Users | undefined;
  readonly quota: Quota;
  readonly counters: Counters;
  readonly log: Logger;
}

/** Who is connected and what they may do: authentication, access control, limits. Default deny, once there are users. */
export class Sessions {
  readonly #sessions = new WeakMap<Client, Session>();
  readonly #rates = new WeakMap<Client, Rates>();
  readonly #links = new WeakMap<object, Link>();
  readonly #failures = new Map<string, number[]>();

  constructor(private readonly parts: SessionParts) {}

  /** Tells where a connection comes from; `conn` is what Aedes was given. */
  link(conn: object, link: Link): void {
    this.#links.set(conn, link);
  }

  /** Call it once the broker's persistence and emitter are there. */
  attach(aedes: Aedes): void {
    const take = storeFirst(aedes);
    aedes.authenticate = (client, username, password, done) => {
      this.#authenticate(client, username, password).then(
        (problem) => {
          if (!problem) return done(null, true);
          const error = Object.assign(new CodedError('ECAVG_BROKER_ACCESS', problem.why), { returnCode: problem.code });
          done(error, false);
        },
        (error: unknown) => {
          this.parts.log.error({ err: error }, 'could not check a password');
          done(Object.assign(new CodedError(codeOf(error), 'server unavailable'), { returnCode: UNAVAILABLE }), false);
        },
      );
    };
    aedes.authorizePublish = (client, packet, done) => {
      const problem = client ? this.#publishProblem(client, packet) : undefined;
      if (problem) {
        this.parts.counters.refused('publish');
        const topic = packet.topic.slice(0, 200);
        this.parts.log.warn({ client: client?.id, topic, ...problem }, 'publish refused');
        return done(new CodedError(problem.code, problem.why));
      }
      if (!client) return done(null);
      this.parts.counters.received(packet.payload.length);
      const wait = this.#ratesOf(client).wait(packet.payload.length, performance.now());
      if (wait <= 0) return take(client, packet, done);
      this.parts.counters.slowed();
      setTimeout(() => take(client, packet, done), wait);
    };
    aedes.authorizeSubscribe = (client, subscription, done) => {
      if (maySubscribe(this.#rights(client), subscription.topic)) return done(null, subscription);
      this.parts.counters.refused('subscribe');
      const filter = subscription.topic.slice(0, 200);
      this.parts.log.warn({ client: client.id, filter, code: 'ECAVG_BROKER_ACCESS' }, 'subscription refused');
      done(null, null);
    };
  }

  /** Closes the connections of users that are gone, or whose role, fleet or rights have changed. */
  recheck(clients: Iterable<Client>): void {
    for (const client of clients) {
      const session = this.#sessions.get(client);
      if (!session) continue;
      const now = this.parts.users?.get(session.name);
      const rights = now && this.#rightsOf(session.name, now);
      const same = now?.hash === session.user.hash && now?.certificate === session.user.certificate;
      if (now && same && JSON.stringify(rights) === JSON.stringify(session.rights)) continue;
      this.parts.log.info({ client: client.id, user: session.name }, 'its rights have changed: connection closed');
      client.close();
    }
  }

  /** The user of a client; undefined where clients are anonymous. */
  userOf(client: Client): string | undefined {
    return this.#sessions.get(client)?.name;
  }

  async #authenticate(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<{ why: string; code: number } | undefined> {
    const { users } = this.parts;
    if (!users) return undefined;
    // A user that was added a moment ago may come before the file's change was noticed.
    await users.reload().catch((error: unknown) => this.parts.log.error({ err: error }, 'users file'));
    const link = this.#links.get(client.conn);
    const address = link?.address ?? '';
    const named = certificateName(link?.socket);
    const name = username ?? named ?? '';
    const user = users.get(name);
    const byCertificate = named !== undefined && named === name && user?.certificate === true;
    if (!byCertificate) {
      if (this.#failuresOf(address) >= this.parts.config.limits.failuresPerMinute) {
        this.parts.counters.refused('connect');
        return { why: 'too many failed log-ins from this address', code: UNAVAILABLE };
      }
      if (!(await users.check(name, password?.toString('utf8') ?? ''))) {
        this.#failures.get(address)?.push(Date.now()) ?? this.#failures.set(address, [Date.now()]);
        this.parts.counters.refused('connect');
        return { why: `bad user name or password for ${JSON.stringify(name.slice(0, 64))}`, code: BAD_CREDENTIALS };
      }
    }
    const known = users.get(name);
    if (!known) return { why: 'the user is gone', code: BAD_CREDENTIALS };
    this.#sessions.set(client, { name, user: known, rights: this.#rightsOf(name, known) });
    return undefined;
  }

  #failuresOf(address: string): number {
    const since = Date.now() - MINUTE;
    const recent = (this.#failures.get(address) ?? []).filter((t) => t > since);
    if (recent.length > 0) this.#failures.set(address, recent);
    else this.#failures.delete(address);
    return recent.length;
  }

  #publishProblem(
    client: Client,
    packet: { topic: string; payload: string | Buffer; retain: boolean },
  ): { code: ErrorCode; why: string } | undefined {
    const bytes = packet.payload.length;
    if (bytes > this.parts.config.maxPayloadBytes)
      return {
        code: 'ECAVG_BROKER_PACKET',
        why: `payload of ${bytes} bytes; the limit is ${this.parts.config.maxPayloadBytes}`,
      };
    if (!mayPublish(this.#rights(client), packet.topic))
      return { code: 'ECAVG_BROKER_ACCESS', why: 'not allowed to publish there' };
    if (packet.retain && !this.parts.quota.fits(packet.topic, bytes))
      return {
        code: 'ECAVG_BROKER_PACKET',
        why: `retained messages would take more than ${this.parts.config.limits.retainedBytes} bytes`,
      };
    return undefined;
  }

  #rights(client: Client): Role {
    if (!this.parts.users) return EVERYTHING;
    return this.#sessions.get(client)?.rights ?? { publish: [], subscribe: [] };
  }

  #rightsOf(name: string, { role, fleet }: User): Role {
    const roles: Readonly<Record<string, Role>> = { ...ROLES, ...this.parts.users?.file.roles };
    const found = Object.hasOwn(roles, role) ? roles[role] : undefined;
    if (!found) this.parts.log.warn({ user: name, role }, 'the user has a role that does not exist: no rights');
    return found ? rightsOf(found, { fleet, user: name }) : { publish: [], subscribe: [] };
  }

  #ratesOf(client: Client): Rates {
    let rates = this.#rates.get(client);
    if (!rates) {
      const { messagesPerSecond, bytesPerSecond } = this.parts.config.limits;
      rates = new Rates(messagesPerSecond, bytesPerSecond, performance.now());
      this.#rates.set(client, rates);
    }
    return rates;
  }
}

/** The common name of a client certificate that our authority signed. */
function certificateName(socket: Socket | undefined): string | undefined {
  const tls = socket as Partial<TLSSocket> | undefined;
  if (!tls?.encrypted || !tls.authorized) return undefined;
  const name = tls.getPeerCertificate?.().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
