import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, readIfThere, writeDurable } from '@ecavg/runtime';
import { stringify } from 'yaml';
import type { Pair } from './certificates.js';
import { Users, usersPath } from './users.js';

/** Names of what `ecavg broker init` makes in its folder. */
const FILES = { ca: 'ca', server: 'server', config: 'broker.yaml' } as const;

const write = async (folder: string, name: string, { cert, key }: Pair): Promise<void> => {
  await writeDurable(join(folder, `${name}.crt`), cert);
  await writeDurable(join(folder, `${name}.key`), key, 0o600);
};

const read = async (folder: string, name: string): Promise<Pair> => {
  try {
    return {
      cert: await readFile(join(folder, `${name}.crt`), 'utf8'),
      key: await readFile(join(folder, `${name}.key`), 'utf8'),
    };
  } catch (cause) {
    throw new ConfigError(
      'ECAVG_SECRET_FILE',
      `${folder} has no ${name}.crt and ${name}.key: make them with "ecavg broker init --dir ${folder}"`,
      {
        cause,
      },
    );
  }
};

/** Certificates are made only by commands: the broker itself does not load what makes them. */
const certificates = () => import('./certificates.js');

/** What was made, for the command to say. */
export interface Setup {
  readonly configFile: string;
  readonly caFile: string;
  readonly user: string;
  readonly password: string;
}

/**
 * Makes a folder with all that a broker with TLS and users needs: an authority, a server's certificate, the first user and a
 * file of settings. Nothing that is there is overwritten.
 * @throws ConfigError where the folder was set up before.
 */
export async function setUp(folder: string, hosts: readonly string[], user: string): Promise<Setup> {
  const configFile = join(folder, FILES.config);
  if (await readIfThere(configFile))
    throw new ConfigError('ECAVG_FILE', `${configFile} is there already: remove it, or take another --dir`);
  await mkdir(folder, { recursive: true });
  const { makeAuthority, makeCertificate } = await certificates();
  const known = await readIfThere(join(folder, `${FILES.ca}.crt`));
  const authority = known ? await read(folder, FILES.ca) : await makeAuthority('ecavg broker authority');
  if (!known) await write(folder, FILES.ca, authority);
  await write(folder, FILES.server, await makeCertificate(authority, hosts[0] ?? 'localhost', hosts));
  const users = await Users.open(usersPath(folder));
  const password = await users.setPassword(user, { role: 'admin', fleet: '*', certificate: false });
  const settings = {
    listen: { enabled: false },
    tls: { host: '0.0.0.0', port: 8883 },
    wss: { host: '0.0.0.0', port: 8084 },
    certificates: {
      certFile: join(folder, `${FILES.server}.crt`),
      keyFile: join(folder, `${FILES.server}.key`),
      clientCaFile: join(folder, `${FILES.ca}.crt`),
    },
    usersFile: usersPath(folder),
    persistence: { kind: 'disk', dataDir: join(folder, 'data') },
    metrics: { host: '127.0.0.1', port: 9883 },
  };
  await writeDurable(configFile, stringify(settings), 0o644);
  return { configFile, caFile: join(folder, `${FILES.ca}.crt`), user, password };
}

/** A client certificate for a user; writes NAME.crt and NAME.key into the folder. */
export async function issueClientCertificate(folder: string, name: string): Promise<string> {
  const { makeCertificate } = await certificates();
  await write(folder, name, await makeCertificate(await read(folder, FILES.ca), name));
  return join(folder, `${name}.crt`);
}

/** A new certificate for the server: the running broker takes it at once. */
export async function renewServerCertificate(folder: string, hosts: readonly string[]): Promise<void> {
  const { makeCertificate } = await certificates();
  const pair = await makeCertificate(await read(folder, FILES.ca), hosts[0] ?? 'localhost', hosts);
  await write(folder, FILES.server, pair);
}
