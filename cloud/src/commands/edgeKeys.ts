import { join } from 'node:path';
import { ConfigError, DAY_MS, duration } from '@ecavg/runtime/commandLine';
import type { Command } from 'commander';
import type { EdgeKeys } from '../fleet/edgeKeys.js';
import { type CloudFlags, cloudSubcommand, type ReadSettings } from './subcommand.js';

interface Flags extends CloudFlags {
  readonly fleet?: string;
}

async function openKeys(read: ReadSettings, flags: Flags): Promise<EdgeKeys> {
  const { EdgeKeys } = await import('../fleet/edgeKeys.js');
  const file = await read(flags);
  const model = file.models.find((m) => flags.fleet === undefined || m.fleet === flags.fleet);
  if (!model)
    throw new ConfigError(
      'ECAVG_NOT_FOUND',
      `no fleet ${flags.fleet}: there are ${file.models.map((m) => m.fleet).join(', ')}`,
    );
  return new EdgeKeys(join(model.dataDir, 'keys'), file.enrolment.mode);
}

const withConfig = (name: string, description: string, examples: string): Command =>
  cloudSubcommand(name, description, examples).option('--fleet <name>', 'which fleet, where the cloud has several');

/** Subcommands of `ecavg cloud` that manage the keys of edges. */
export function edgeKeyCommands(read: ReadSettings): Command[] {
  const keysOf = (flags: Flags): Promise<EdgeKeys> => openKeys(read, flags);
  return [
    withConfig(
      'token',
      'make a one-time token with which an edge enrols (its trust.tokenFile)',
      '  ecavg cloud token --config cloud.yaml --edge press-shop-2 > token.txt\n  ecavg cloud token --config cloud.yaml --valid 7d',
    )
      .option('--edge <name>', 'only for this edge')
      .option('--valid <time>', 'for how long, as in 30m, 24h or 7d', duration, DAY_MS)
      .action(async (_: object, command: Command) => {
        const { edge, valid, ...flags } = command.optsWithGlobals<Flags & { edge?: string; valid: number }>();
        process.stdout.write(`${await (await keysOf(flags)).token(edge ?? null, Date.now() + valid)}\n`);
      }),
    withConfig(
      'edges',
      'list the edges that are known, and their keys',
      '  ecavg cloud edges --config cloud.yaml',
    ).action(async (_: object, command: Command) => {
      const edges = await (await keysOf(command.optsWithGlobals<Flags>())).list();
      for (const { edge, key, how, since, revoked } of edges) {
        const day = new Date(since).toISOString();
        process.stdout.write(`${edge}  ${key}  ${how}  ${day}${revoked ? '  revoked' : ''}\n`);
      }
      if (edges.length === 0) process.stderr.write('no edge is known yet\n');
    }),
    withConfig(
      'revoke',
      "refuse an edge's updates from now on",
      '  ecavg cloud revoke --config cloud.yaml --edge press-shop-2\n  ecavg cloud revoke --config cloud.yaml --edge press-shop-2 --forget   # it was set up anew, with another key',
    )
      .requiredOption('--edge <name>', 'which edge')
      .option('--forget', 'let the edge be known by another key')
      .action(async (_: object, command: Command) => {
        const { edge, forget, ...flags } = command.optsWithGlobals<Flags & { edge: string; forget?: boolean }>();
        if (!(await (await keysOf(flags)).revoke(edge, forget === true)))
          throw new ConfigError('ECAVG_NOT_FOUND', `no edge ${edge} is known: "ecavg cloud edges" lists them`);
        process.stderr.write(`${edge} is ${forget ? 'forgotten' : 'revoked'}\n`);
      }),
  ];
}
