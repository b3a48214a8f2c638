import { createServer, type Socket } from 'node:net';
import type { Logger, Service } from '@ecavg/runtime';
import { Aedes, type Client } from 'aedes';
import type { BrokerDaemonConfig } from './config.js';

/** Starts an MQTT 3.1.1 broker on TCP. Retained messages and sessions live in memory. */
export async function startBroker(config: BrokerDaemonConfig, log: Logger): Promise<Service> {
  const aedes = await Aedes.createBroker();
  aedes.authorizePublish = (client, packet, done) => {
    const bytes = packet.payload.length;
    if (bytes > config.maxPayloadBytes) {
      log.warn({ client: client?.id, topic: packet.topic, bytes, limit: config.maxPayloadBytes }, 'message too large');
      return done(new Error(`payload of ${bytes} bytes; the limit is ${config.maxPayloadBytes}`));
    }
    done(null);
  };
  const about = (client: Client | null) => ({ client: client?.id });
  aedes.on('clientReady', (client) => log.debug(about(client), 'client connected'));
  aedes.on('clientDisconnect', (client) => log.debug(about(client), 'client disconnected'));
  aedes.on('clientError', (client, error) => log.warn({ ...about(client), err: error }, 'client failed'));
  aedes.on('connectionError', (client, error) => {
    // A client that tries MQTT 5 first, and comes again with 3.1.1.
    const level = 'errorCode' in error && error.errorCode === 1 ? 'debug' : 'warn';
    log[level]({ ...about(client), err: error }, 'connection refused');
  });

  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug({ err: error }, 'socket failed'));
    socket.setNoDelay(true);
    aedes.handle(socket);
  });
  server.maxConnections = config.maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.listen.port, config.listen.host, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : config.listen.port;
  return {
    ready: { host: config.listen.host, port, url: `mqtt://${config.listen.host}:${port}` },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
