import type { Logger } from '@ecavg/runtime';
import fastify from 'fastify';
import type { CloudConfig } from '../config.js';
import type { FleetModel } from '../fleetModel.js';
import { MEASUREMENTS, type Measurement, type TelemetrySink } from '../telemetry/points.js';
import { cloudMetrics } from '../telemetry/prometheus.js';
import { PAGE } from './page.js';

export interface HttpParts {
  readonly models: readonly [FleetModel, ...FleetModel[]];
  readonly telemetry: TelemetrySink;
}

/** Which model is asked for; the first where none is named. */
interface Which {
  readonly fleet?: string;
  readonly model?: string;
}

/** Read-only HTTP: a page for people, JSON for programs, server-sent events for both. */
export async function startHttp(
  { host, port }: CloudConfig['http'],
  { models, telemetry }: HttpParts,
  log: Logger,
): Promise<{ url: string; stop(): Promise<void> }> {
  const find = ({ fleet, model }: Which): FleetModel | undefined =>
    models.find(
      (m) => (fleet ?? m.config.fleet) === m.config.fleet && (model ?? m.config.model.id) === m.config.model.id,
    );
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
  const metrics = cloudMetrics(models);
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
  app.get('/api/v1/models', () =>
    models.map(({ config, registry, members }) => ({
      fleet: config.fleet,
      model: config.model.id,
      version: registry.head?.version,
      online: members.online.length,
      edges: members.all.length,
    })),
  );
  const unknown = { error: 'no such model here: /api/v1/models lists them' };
  app.get<{ Querystring: Which }>('/api/v1/state', (request, reply) => {
    const found = find(request.query);
    if (!found) return reply.code(404).send(unknown);
    const { config, rounds, store, members, registry, inbox } = found;
    return reply.send({
      fleet: config.fleet,
      model: config.model.id,
      architecture: config.model.file ?? config.model.architecture,
      simulatedData: config.data.dataset === 'vibration',
      finished: rounds.finished,
      round: store.state ?? null,
      accepted: store.accepted.map((a) => a.header.edge),
      members: members.all,
      versions: registry.versions,
      pinned: registry.pinned,
      wire: inbox.counters,
      telemetry: telemetry.kind,
    });
  });
  app.get<{ Params: { version: string }; Querystring: Which }>(
    '/api/v1/versions/:version/model.onnx',
    async (request, reply) => {
      const registry = find(request.query)?.registry;
      const version = registry?.versions.find((v) => String(v.version) === request.params.version);
      if (!registry || !version) return reply.code(404).send({ error: `no version ${request.params.version}` });
      const blob = await registry.blob(version.sha256).catch(() => undefined);
      if (!blob) return reply.code(410).send({ error: `version ${version.version} is no longer stored` });
      return reply.type('application/octet-stream').send(Buffer.from(blob));
    },
  );
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
  app.get<{ Querystring: Which }>('/api/v1/events', (request, reply) => {
    const events = find(request.query)?.events;
    if (!events) return reply.code(404).send(unknown);
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
  const address = await app.listen({ host, port });
  log.info({ url: address }, 'dashboard');
  return { url: address, stop: () => app.close() };
}
