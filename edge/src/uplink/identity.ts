import { join } from 'node:path';
import { type Identity, openIdentity as open } from '@ecavg/runtime';
import type { GatewayConfig, UplinkConfig } from './config.js';

export type { Identity, Login } from '@ecavg/runtime';

/** Who this gateway is, and whom it believes. */
export function openIdentity({
  edge,
  dataDir,
  broker,
  trust,
}: GatewayConfig & Pick<UplinkConfig, 'trust'>): Promise<Identity> {
  const { cloudKey } = trust;
  return open({ edge, keyFile: join(dataDir, 'key.pem'), folder: dataDir, broker, cloudKey });
}
