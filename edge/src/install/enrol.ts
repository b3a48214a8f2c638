import { CodedError, decodeMessage, Topics } from '@ecavg/protocol';
import { ConfigError, connectBroker, enrolRequest, type Logger, openDataFolder, writeDurable } from '@ecavg/runtime';
import type { GatewayConfig, UplinkConfig } from '../uplink/config.js';
import { openIdentity } from '../uplink/identity.js';

/** The settings that an enrolment works by. */
export interface EnrolConfig extends GatewayConfig, Pick<UplinkConfig, 'trust'> {}

/**
 * Makes this gateway known to the cloud by its key, with a one-time token, and keeps the token where the settings say.
 * @returns the key, in hex. @throws Error where the cloud refuses, or does not answer in time.
 */
export async function enrol(config: EnrolConfig, token: string, waitSeconds: number, log: Logger): Promise<string> {
  const { tokenFile } = config.trust;
  if (!tokenFile) throw new ConfigError('ECAVG_SECRET_FILE', 'set trust.tokenFile: the file that the token is kept in');
  if (token === '') throw new ConfigError('ECAVG_SECRET_FILE', 'the token is empty: "ecavg cloud token" makes one');
  await openDataFolder(config.dataDir, 'edge');
  await writeDurable(tokenFile, `${token}\n`, 0o600);
  const { signer, trust, login } = await openIdentity(config);
  if (trust.isEnrolled(signer.key)) return signer.key;
  const { edge, fleet, model } = config;
  const topics = new Topics(fleet);
  const client = connectBroker(config.broker, { clientId: `ecavg-${fleet}-enrol-${edge}`, ...login }, log);
  try {
    await new Promise<void>((done, fail) => {
      const limit = setTimeout(
        () =>
          fail(
            new CodedError(
              'ECAVG_ENROL',
              `no answer within ${waitSeconds} s: do broker (${config.broker.url}) and cloud run?`,
            ),
          ),
        waitSeconds * 1000,
      );
      const end = (error?: Error): void => {
        clearTimeout(limit);
        if (error) fail(error);
        else done();
      };
      client.on('error', (error) => log.debug({ err: error }, 'broker'));
      client.on('connect', () => {
        client.subscribe(topics.receipt(edge, model), { qos: 1 }, (error) => {
          if (error) return end(error);
          client.publish(topics.enrol(edge), enrolRequest(config, signer, token), { qos: 1 });
        });
      });
      client.on('message', (_topic, payload) => {
        try {
          const receipt = decodeMessage('receipt', payload);
          if (receipt.id !== null) return;
          if (receipt.status === 'accepted') end();
          else
            end(new CodedError('ECAVG_ENROL', `the cloud refuses: ${receipt.reason ?? ''} (${receipt.detail ?? ''})`));
        } catch (error) {
          end(error as Error);
        }
      });
    });
  } finally {
    await client.endAsync(true);
  }
  await trust.enrolled(signer.key);
  return signer.key;
}
