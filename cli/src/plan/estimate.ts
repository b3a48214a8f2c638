import type { PRESET_NAMES } from '@ecavg/protocol';

export type PlanPreset = Exclude<(typeof PRESET_NAMES)[number], 'auto'>;

/**
 * So many times smaller than float32, measured on MNIST updates of two models (docs/decisions.md, the codec): the lower one of each, so
 * that a plan errs on the side of more bytes.
 */
export const RATIOS: Readonly<Record<PlanPreset, number>> = {
  lossless: 1.2,
  fine: 17.6,
  balanced: 33.9,
  tight: 321,
  extreme: 600,
};

export interface PlanOptions {
  readonly gateways: number;
  readonly parameters: number;
  /** Of updates. */
  readonly preset: PlanPreset;
  /** Of the differences in which versions go down. */
  readonly difference: 'lossless' | 'fine' | 'balanced' | 'tight';
  readonly roundsPerDay: number;
  /** Gateways that are asked in a round, in (0, 1]. */
  readonly share: number;
  /** Local training of a round. */
  readonly trainSeconds: number;
  /** What training draws above idle. */
  readonly watts: number;
  readonly pricePerGb: number;
  readonly pricePerKwh: number;
}

/** Of one month of 30 days; bytes include MQTT and TCP/IP. */
export interface Plan {
  readonly rounds: number;
  /** Of one gateway. */
  readonly updateBytes: number;
  readonly differenceBytes: number;
  readonly upBytes: number;
  readonly downBytes: number;
  /** Connections that are only kept alive. */
  readonly idleBytes: number;
  /** Of the whole fleet. */
  readonly fleetBytes: number;
  /** The same rounds with float32 weights both ways. */
  readonly float32Bytes: number;
  readonly traffic: number;
  readonly kilowattHours: number;
  readonly energy: number;
  readonly total: number;
  readonly perGateway: number;
}

const DAYS = 30;
const CHUNK = 49_152;
/** A chunk's envelope, MQTT's head and the acknowledgement. */
const PER_CHUNK = 344;
/** TCP/IP: what a packet carries, and its head. */
const PACKET = 1400;
const PACKET_HEAD = 40;
/** Round and manifest, receipt, and three reports, with their acknowledgements. */
const PER_ROUND = 4000;
const PING = 2 * (2 + PACKET_HEAD);
const KEEPALIVE_SECONDS = 30;
const SECONDS_A_MONTH = DAYS * 86_400;

/** With the heads of its chunks. */
function onTheWire(bytes: number): number {
  return bytes + Math.ceil(bytes / CHUNK) * PER_CHUNK + Math.ceil(bytes / PACKET) * PACKET_HEAD;
}

export function estimate(o: PlanOptions): Plan {
  const rounds = o.roundsPerDay * DAYS;
  const float32 = 4 * o.parameters;
  const updateBytes = float32 / RATIOS[o.preset];
  const differenceBytes = float32 / RATIOS[o.difference];
  const upBytes = rounds * o.share * (onTheWire(updateBytes) + PER_ROUND / 2);
  const downBytes = rounds * (onTheWire(differenceBytes) + PER_ROUND / 2);
  const idleBytes = (SECONDS_A_MONTH / KEEPALIVE_SECONDS) * PING;
  const fleetBytes = o.gateways * (upBytes + downBytes + idleBytes);
  const raw = onTheWire(float32);
  const float32Bytes = o.gateways * (rounds * ((o.share + 1) * raw + PER_ROUND) + idleBytes);
  const kilowattHours = (o.gateways * o.share * rounds * o.trainSeconds * o.watts) / 3_600_000;
  const traffic = (fleetBytes / 1e9) * o.pricePerGb;
  const energy = kilowattHours * o.pricePerKwh;
  return {
    rounds,
    updateBytes,
    differenceBytes,
    upBytes,
    downBytes,
    idleBytes,
    fleetBytes,
    float32Bytes,
    traffic,
    kilowattHours,
    energy,
    total: traffic + energy,
    perGateway: (traffic + energy) / o.gateways,
  };
}
