import { type BrokerConfig, brokerSchema, connectBroker, type MqttClient } from '@ecavg/runtime';
import type { SourceMeans } from './source.js';

/** Setting of a source over MQTT: where its sensors publish; default: the gateway's own broker, with its credentials. */
export const ownBroker = brokerSchema.unwrap().optional();

/** A connection that subscribes anew whenever it is made, and keeps its session, so that readings wait for a gateway that restarts. */
export function subscribeSource(
  { broker, login, clientId, log }: Pick<SourceMeans, 'broker' | 'login' | 'clientId' | 'log'>,
  own: BrokerConfig | undefined,
  topics: string[],
  take: (topic: string, payload: Buffer) => void,
): MqttClient {
  const client = connectBroker(own ?? broker, { clientId, persistent: true, ...(own ? {} : login) }, log);
  client.on('message', take);
  client.on('connect', () => {
    client.subscribe(topics, { qos: 1 }, (error, granted) => {
      const refused = granted?.filter((g) => g.qos >= 128).map((g) => g.topic) ?? [];
      if (error || refused.length > 0)
        log.error({ err: error ?? undefined, topics: refused }, 'the source could not subscribe');
    });
  });
  return client;
}
