import type { Logger } from '@ecavg/runtime';
import fastify from 'fastify';
import type { CloudConfig } from '../config.js';
import type { EventLog } from '../events.js';
import type { Inbox } from '../inbox.js';
import type { Members } from '../members.js';
import type { Registry } from '../registry.js';
import type { RoundStore } from '../roundStore.js';
import type { RoundManager } from '../rounds.js';
import { MEASUREMENTS, type Measurement, type TelemetrySink } from '../telemetry/points.js';
import { PAGE } from './page.js';

export interface HttpParts {
  readonly registry: Registry;
  readonly store: RoundStore;
  readonly members: Members;
  readonly events: EventLog;
  readonly inbox: Inbox;
  readonly telemetry: TelemetrySink;
  readonly rounds: RoundManager;
}

/** Read-only HTTP: a page for people, JSON for programs, server-sent events for both. */
export async function startHttp(
  config: CloudConfig,
  parts: HttpParts,
  log: Logger,
): Promise<{ url: string; stop(): Promise<void> }> {
  const { registry, store, members, events, inbox, telemetry, rounds } = parts;
  const app = fastify({ forceCloseConnections: true });
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({
      'content-security-policy':
        "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
  });
  app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(PAGE));
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/api/v1/state', () => ({
    fleet: config.fleet,
    model: config.model.id,
    architecture: config.model.file ?? config.model.architecture,
    simulatedData: config.data.dataset === 'vibration',
    finished: rounds.finished,
    round: store.state ?? null,
    accepted: store.accepted.map((a) => a.header.edge),
    members: members.all,
    versions: registry.versions,
    wire: inbox.counters,
    telemetry: telemetry.kind,
  }));
  app.get<{ Params: { version: string } }>('/api/v1/versions/:version/model.onnx', async (request, reply) => {
    const version = registry.versions.find((v) => String(v.version) === request.params.version);
    if (!version) return reply.code(404).send({ error: `no version ${request.params.version}` });
    const blob = await registry.blob(version.sha256).catch(() => undefined);
    if (!blob) return reply.code(410).send({ error: `version ${version.version} is no longer stored` });
    return reply.type('application/octet-stream').send(Buffer.from(blob));
  });
  app.get<{ Params: { measurement: string }; Querystring: { limit?: string } }>(
    '/api/v1/telemetry/:measurement',
    async (request, reply) => {
      const measurement = request.params.measurement as Measurement;
      const limit = Number(request.query.limit ?? 100);
      if (!MEASUREMENTS.includes(measurement))
        return reply.code(404).send({ error: `measurements are ${MEASUREMENTS.join(', ')}` });
      if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
        return reply.code(400).send({ error: 'limit must be 1 to 10000' });
      return telemetry.query(measurement, limit);
    },
  );
  app.get('/api/v1/events', (request, reply) => {
    reply.hijack();
    const out = reply.raw;
    out.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    const send = (event: { id: number }): void => {
      out.write(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`);
    };
    for (const event of events.after(Number(request.headers['last-event-id'] ?? 0) || 0)) send(event);
    const unlisten = events.listen(send);
    const beat = setInterval(() => out.write(': still here\n\n'), 15_000);
    request.raw.on('close', () => {
      unlisten();
      clearInterval(beat);
    });
  });
  const address = await app.listen({ host: config.http.host, port: config.http.port });
  log.info({ url: address }, 'dashboard');
  return { url: address, stop: () => app.close() };
}
