import { SOFTWARE } from '@ecavg/runtime';
import type { Aedes } from 'aedes';
import type { Counters } from './counters.js';

/** Publishes the broker's figures under $SYS/broker, by the names that mosquitto made common; returns the way to stop. */
export function publishSys(aedes: Aedes, counters: Counters, seconds: number): () => void {
  if (seconds === 0) return () => undefined;
  const began = Date.now();
  const say = (topic: string, value: number | string): void =>
    aedes.publish(
      {
        cmd: 'publish',
        topic: `$SYS/broker/${topic}`,
        payload: Buffer.from(String(value)),
        qos: 0,
        retain: true,
        dup: false,
      },
      () => undefined,
    );
  const all = (): void => {
    const { totals } = counters;
    say('version', `${SOFTWARE} (Aedes)`);
    say('uptime', Math.round((Date.now() - began) / 1000));
    say('clients/connected', aedes.connectedClients);
    say('messages/received', totals.messagesReceived);
    say('messages/sent', totals.messagesSent);
    say('bytes/received', totals.bytesReceived);
    say('bytes/sent', totals.bytesSent);
    say('load/refused', totals.refused);
  };
  all();
  const timer = setInterval(all, seconds * 1000);
  return () => clearInterval(timer);
}
