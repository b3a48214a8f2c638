// HTTP: the API, the dashboard's files, who may sign in, and the words that people read of a command.
// It may touch every room but commands; it looks at models through servedModel.ts.
import { CodedError, codeOf, type ErrorCode } from '@ecavg/protocol/errors';
import type { Logger } from '@ecavg/runtime';
import swagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { cloudMetrics } from '../telemetry/prometheus.js';
import { Access } from './access.js';
import type { Accounts } from './accounts.js';
import { type HttpConfig, LOOPBACK } from './config.js';
import { addPages } from './pages.js';
import { addRoutes, type RouteParts } from './routes.js';
import { figuresOf } from './views.js';

export interface HttpParts extends RouteParts {
  readonly accounts: Accounts;
}

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'ecavg cloud',
    version: '1',
    description:
      'Fleets, models, versions, rounds and gateways of a cloud; ONNX downloads; control. Programs send a token of "ecavg cloud api-token add".',
  },
  components: {
    securitySchemes: {
      token: { type: 'http', scheme: 'bearer' },
      session: { type: 'apiKey', in: 'cookie', name: 'ecavg_session' },
    },
  },
  security: [{ token: [] }, { session: [] }],
} as const;

/** The dashboard for people, the API for programs, server-sent events for both. */
export async function startHttp(
  config: HttpConfig,
  { accounts, ...parts }: HttpParts,
  log: Logger,
): Promise<{ url: string; stop(): Promise<void> }> {
  const app = await createHttp(config, accounts, parts, log);
  const url = await app.listen({ host: config.host, port: config.port });
  log.info({ url, anonymous: config.anonymous }, 'dashboard');
  if (!LOOPBACK.includes(config.host) && !config.trustProxy)
    log.warn({ url }, 'passwords travel in the clear: put a proxy with TLS before it and set http.trustProxy');
  return { url, stop: () => app.close() };
}

async function createHttp(
  config: HttpConfig,
  accounts: Accounts,
  parts: RouteParts,
  log: Logger,
): Promise<FastifyInstance> {
  const app = fastify({
    forceCloseConnections: true,
    trustProxy: config.trustProxy,
    bodyLimit: 16_384,
    frameworkErrors: (error, _request, reply) =>
      (reply as unknown as FastifyReply)
        .code(error.statusCode ?? 400)
        .send({ error: error.message, code: codeOfRequest(error) }),
  }) as unknown as FastifyInstance;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { statusCode: status, message } = error;
    if (status !== undefined && (status < 500 || status === 503))
      return reply.code(status).send({ error: message, code: codeOfRequest(error) });
    log.error({ err: error, url: request.url }, 'request failed');
    return reply.code(500).send({ error: 'something went wrong: see the log', code: codeOf(error) });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      error: `nothing at ${request.url.split('?')[0]}: /api/v1/openapi.json lists what there is`,
      code: 'ECAVG_HTTP_REQUEST' satisfies ErrorCode,
    }),
  );
  app.addHook('onSend', async (_request, reply) => {
    reply.headers(HEADERS);
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  const access = await Access.guard(app, accounts, config, log);
  await app.register(swagger, { openapi: OPENAPI as never, transform: jsonSchemaTransform });
  await addPages(app);
  app.get('/healthz', { config: { needs: 'none' }, schema: { hide: true } }, () => ({ status: 'ok' }));
  const metrics = cloudMetrics(() => parts.models.map(figuresOf));
  app.get('/metrics', { config: { needs: 'viewer' }, schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
  app.get('/api/v1/openapi.json', { config: { needs: 'none' }, schema: { hide: true } }, () => app.swagger());
  addRoutes(app, access, parts, log);
  return app;
}

/** Of our own refusals, and of those of the HTTP library: too many sign-ins, or a request that does not fit its schema. */
function codeOfRequest(error: FastifyError): ErrorCode {
  if (error instanceof CodedError) return error.code;
  return error.statusCode === 429 ? 'ECAVG_TOO_MANY_REQUESTS' : 'ECAVG_HTTP_REQUEST';
}
