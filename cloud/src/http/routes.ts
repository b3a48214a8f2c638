import { CodedError, type ErrorCode } from '@ecavg/protocol';
import type { Logger } from '@ecavg/runtime';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { TelemetrySink } from '../telemetry/points.js';
import type { Access } from './access.js';
import * as schema from './schema.js';
import { findModel, type ServedModel } from './servedModel.js';
import { edgeAnswer, modelAnswer, stateAnswer, versionAnswer } from './views.js';
import { controlAnswer } from './words.js';

export interface RouteParts {
  readonly models: readonly [ServedModel, ...ServedModel[]];
  readonly telemetry: TelemetrySink;
}

const refusals = { 401: schema.errorSchema, 403: schema.errorSchema, 404: schema.errorSchema };
const querystring = schema.whichSchema;

/** How often a stream of events sends a comment to keep the connection, and checks that its reader may still look. */
const BEAT_MS = 15_000;

class Refusal extends CodedError {
  override readonly name = 'Refusal';
  constructor(
    code: ErrorCode,
    readonly statusCode: number,
    message: string,
  ) {
    super(code, message);
  }
}

/** The HTTP API, version 1. */
export function addRoutes(
  plain: FastifyInstance,
  access: Access,
  { models, telemetry }: RouteParts,
  log: Logger,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const find = (which: schema.Which): ServedModel => {
    const found = findModel(models, which);
    if (!found) throw new Refusal('ECAVG_NOT_FOUND', 404, 'no such model here: /api/v1/models lists them');
    return found;
  };
  const needs = { viewer: { needs: 'viewer' }, operator: { needs: 'operator' }, none: { needs: 'none' } } as const;

  app.get(
    '/api/v1/session',
    {
      config: needs.none,
      schema: {
        tags: ['session'],
        summary: 'Who I am',
        response: { 200: schema.sessionSchema, 401: schema.errorSchema },
      },
    },
    async (request) => {
      if (!request.who) throw new Refusal('ECAVG_SIGN_IN', 401, 'nobody is signed in');
      return request.who;
    },
  );
  app.post(
    '/api/v1/session',
    {
      config: { ...needs.none, ...access.limit },
      schema: {
        tags: ['session'],
        summary: 'Sign in; the session is a cookie',
        body: schema.signInSchema,
        response: { 200: schema.sessionSchema, 401: schema.errorSchema, 429: schema.errorSchema },
      },
    },
    async (request, reply) => {
      const who = await access.signIn(request, reply, request.body.name, request.body.password);
      if (!who) throw new Refusal('ECAVG_SIGN_IN', 401, 'name or password is wrong');
      return who;
    },
  );
  app.delete(
    '/api/v1/session',
    { config: needs.none, schema: { tags: ['session'], summary: 'Sign out', response: { 204: z.null() } } },
    async (request, reply) => {
      access.signOut(request, reply);
      reply.code(204);
      return null;
    },
  );

  app.get(
    '/api/v1/fleets',
    {
      config: needs.viewer,
      schema: {
        tags: ['fleet'],
        summary: 'All fleets and their models',
        response: { 200: z.array(schema.fleetSchema), ...refusals },
      },
    },
    () => {
      const fleets = [...new Set(models.map((m) => m.config.fleet))];
      return fleets.map((fleet) => ({
        fleet,
        models: models.filter((m) => m.config.fleet === fleet).map(modelAnswer),
      }));
    },
  );
  app.get(
    '/api/v1/models',
    {
      config: needs.viewer,
      schema: { tags: ['fleet'], summary: 'All models', response: { 200: z.array(schema.modelSchema), ...refusals } },
    },
    () => models.map(modelAnswer),
  );
  app.get(
    '/api/v1/state',
    {
      config: needs.viewer,
      schema: {
        tags: ['fleet'],
        summary: 'A model now',
        querystring,
        response: { 200: schema.stateSchema, ...refusals },
      },
    },
    async (request) => stateAnswer(find(request.query), telemetry.kind),
  );
  app.get(
    '/api/v1/edges',
    {
      config: needs.viewer,
      schema: {
        tags: ['fleet'],
        summary: 'The gateways',
        querystring,
        response: { 200: z.array(schema.edgeSchema), ...refusals },
      },
    },
    async (request) => find(request.query).members.all.map(edgeAnswer),
  );
  app.get(
    '/api/v1/rounds',
    {
      config: needs.viewer,
      schema: {
        tags: ['rounds'],
        summary: 'Closed rounds, and what the gateways made of their versions',
        querystring: z.object({ ...schema.whichSchema.shape, ...schema.limitSchema.shape }),
        response: { 200: schema.roundsSchema, ...refusals },
      },
    },
    async (request) => {
      const { history } = find(request.query);
      const newest = <T>(all: readonly T[]): T[] => all.slice(-request.query.limit).reverse();
      return { rounds: newest(history.rounds), receptions: newest(history.receptions) };
    },
  );
  app.get(
    '/api/v1/versions',
    {
      config: needs.viewer,
      schema: {
        tags: ['versions'],
        summary: 'All versions',
        querystring,
        response: { 200: z.array(schema.versionSchema), ...refusals },
      },
    },
    async (request) => find(request.query).registry.versions.map(versionAnswer),
  );
  app.get(
    '/api/v1/versions/:version/model.onnx',
    {
      config: needs.viewer,
      schema: {
        tags: ['versions'],
        summary: 'The ONNX file of a version',
        produces: ['application/octet-stream'],
        params: z.object({ version: z.coerce.number().int().min(1) }),
        querystring,
        response: { ...refusals, 410: schema.errorSchema },
      },
    },
    async (request, reply) => {
      const { registry } = find(request.query);
      const version = registry.versions.find((v) => v.version === request.params.version);
      if (!version) throw new Refusal('ECAVG_NOT_FOUND', 404, `no version ${request.params.version}`);
      const blob = await registry.blob(version.sha256).catch(() => undefined);
      if (!blob) throw new Refusal('ECAVG_NOT_FOUND', 410, `the file of version ${version.version} is no longer kept`);
      return reply.type('application/octet-stream').send(Buffer.from(blob) as never);
    },
  );

  for (const [action, summary] of [
    ['rollback', 'Bring an earlier version back, as a new one'],
    ['pin', 'Keep a version in force; no round opens meanwhile'],
    ['unpin', 'Let rounds go on'],
  ] as const)
    app.post(
      `/api/v1/control/${action}`,
      {
        config: needs.operator,
        schema: {
          tags: ['control'],
          summary,
          querystring,
          body: (action === 'unpin' ? z.object({}) : schema.controlSchema).nullish(),
          response: {
            200: z.object({ text: z.string() }),
            409: schema.errorSchema,
            503: schema.errorSchema,
            ...refusals,
          },
        },
      },
      async (request) => {
        const found = find(request.query);
        if (!found.connected)
          throw new Refusal('ECAVG_NOT_READY', 503, 'the broker is not reached: try again when it is');
        const { fleet, model } = found.config;
        const { version } = (request.body ?? {}) as z.output<typeof schema.controlSchema>;
        const asked = { fleet, model: model.id, action, ...(version !== undefined && { version }) };
        const { done, text, error } = await controlAnswer(() => found.control(asked));
        if (!done) throw new Refusal(error ?? 'ECAVG_NOT_NOW', 409, text);
        log.info({ request: asked, by: request.who?.name, answer: text }, 'carried out a command');
        return { text };
      },
    );

  app.get(
    '/api/v1/telemetry/:measurement',
    {
      config: needs.viewer,
      schema: {
        tags: ['telemetry'],
        summary: 'The newest points of a measurement, newest first',
        params: z.object({ measurement: schema.measurementSchema }),
        querystring: schema.limitSchema,
        response: { 200: z.array(schema.pointSchema), ...refusals },
      },
    },
    (request) => telemetry.query(request.params.measurement, request.query.limit),
  );
  app.get(
    '/api/v1/events',
    {
      config: needs.viewer,
      schema: {
        tags: ['events'],
        summary: 'Server-sent events: what happens, as it happens; Last-Event-ID goes on after one',
        produces: ['text/event-stream'],
        querystring,
        response: refusals,
      },
    },
    async (request, reply) => {
      const { events } = find(request.query);
      reply.hijack();
      const out = reply.raw;
      const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
      out.writeHead(200, headers);
      const send = (event: { id: number }): void => {
        out.write(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`);
      };
      for (const event of events.after(Number(request.headers['last-event-id'] ?? 0) || 0)) send(event);
      const unlisten = events.listen(send);
      const beat = setInterval(async () => {
        if (await access.still(request).catch(() => false)) out.write(': still here\n\n');
        else out.end();
      }, BEAT_MS);
      request.raw.on('close', () => {
        unlisten();
        clearInterval(beat);
      });
      return reply as never;
    },
  );
}
