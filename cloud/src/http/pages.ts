import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { CodedError } from '@ecavg/protocol/errors';
import type { FastifyInstance } from 'fastify';

/** The dashboard, as `npm run build` bundles it. */
const FOLDER = fileURLToPath(new URL('../dashboard/', import.meta.url));
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/app.js', 'app.js', 'text/javascript; charset=utf-8'],
  ['/app.css', 'app.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const;

/** Serves the dashboard's files, which hold nothing of the fleet: no sign-in is needed for them. */
export async function addPages(app: FastifyInstance): Promise<void> {
  for (const [path, name, type] of FILES) {
    const body = await readFile(FOLDER + name).catch((cause: unknown) => {
      throw new CodedError('ECAVG_FILE', `the dashboard's file ${FOLDER}${name} is missing: run "npm run build"`, {
        cause,
      });
    });
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
    app.get(path, { config: { needs: 'none' }, schema: { hide: true } }, (request, reply) => {
      reply.headers({ etag, 'cache-control': 'no-cache' });
      return request.headers['if-none-match'] === etag ? reply.code(304).send() : reply.type(type).send(body);
    });
  }
}
