import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { CodedError } from '@ecavg/protocol/errors';
import { ConfigError, type Logger } from '@ecavg/runtime';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { BrokerDaemonConfig } from './config.js';

/** A listening socket. */
export interface Listener {
  readonly name: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly host: string;
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
  /** Takes certificates that were read again. */
  renew?(context: TlsFiles): void;
}

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

type Accept = (conn: Duplex, socket: Socket, request?: IncomingMessage) => void;

/** Sub-protocols by which clients ask for MQTT over WebSocket. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];
const WS_FRAME_BYTES = 1 << 20;

/**
 * Reads the certificate files.
 * @throws ConfigError that names the one that can't be read.
 */
export function readTlsFiles({
  certFile,
  keyFile,
  clientCaFile,
}: NonNullable<BrokerDaemonConfig['certificates']>): TlsFiles {
  const read = (field: string, file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new ConfigError(
        'ECAVG_SECRET_FILE',
        `certificates.${field} ${file} can't be read (${code}): "ecavg broker init" makes one`,
        {
          cause,
        },
      );
    }
  };
  return {
    cert: read('certFile', certFile),
    key: read('keyFile', keyFile),
    ...(clientCaFile && { ca: read('clientCaFile', clientCaFile) }),
  };
}

/** Opens every listener of the settings; `accept` gets each connection. */
export async function openListeners(config: BrokerDaemonConfig, accept: Accept, log: Logger): Promise<Listener[]> {
  const { certificates } = config;
  const files = certificates && readTlsFiles(certificates);
  const tls = files && {
    ...files,
    minVersion: 'TLSv1.2' as const,
    requestCert: files.ca !== undefined,
    rejectUnauthorized: certificates?.requireClient === true,
  };
  const plain = (socket: Socket): void => {
    socket.setNoDelay(true);
    accept(socket, socket);
  };
  const opened: Listener[] = [];
  const add = async (name: Listener['name'], at: { host: string; port: number }, server: Server): Promise<void> => {
    server.maxConnections = config.maxConnections;
    opened.push(await listen(name, at, server, log));
  };
  try {
    if (config.listen.enabled) await add('mqtt', config.listen, createServer(plain));
    if (config.tls && tls) await add('mqtts', config.tls, createTlsServer(tls, plain));
    if (config.ws) await add('ws', config.ws, withWebSockets(createHttpServer(), accept));
    if (config.wss && tls) await add('wss', config.wss, withWebSockets(createHttpsServer(tls), accept));
  } catch (error) {
    for (const l of opened) await l.close();
    throw error;
  }
  return opened;
}

function withWebSockets<T extends Server>(server: T, accept: Accept): T {
  const sockets = new WebSocketServer({
    server: server as never,
    maxPayload: WS_FRAME_BYTES * 257,
    handleProtocols: (offered) => SUBPROTOCOLS.find((p) => offered.has(p)) ?? false,
  });
  sockets.on('connection', (socket, request) => accept(createWebSocketStream(socket), request.socket, request));
  return server;
}

async function listen(
  name: Listener['name'],
  { host, port }: { host: string; port: number },
  server: Server,
  log: Logger,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  // Sockets of TLS before their handshake are among these.
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug({ err: error, listener: name }, 'socket failed'));
  });
  server.on('tlsClientError', (error: Error) => log.debug({ err: error, listener: name }, 'TLS handshake failed'));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new CodedError(
          'ECAVG_BROKER_LISTEN',
          `can't listen on ${host}:${port} for ${name} (${(cause as NodeJS.ErrnoException).code})`,
          { cause },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  const actual = typeof address === 'object' && address ? address.port : port;
  return {
    name,
    host,
    port: actual,
    url: `${name}://${host}:${actual}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
    ...('setSecureContext' in server && {
      renew: (files: TlsFiles) => (server as TlsServer).setSecureContext({ ...files, minVersion: 'TLSv1.2' }),
    }),
  };
}
