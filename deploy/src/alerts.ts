/** A rule: the newest value of a query, in every series, compared with a limit. */
export interface Alert {
  readonly uid: string;
  readonly title: string;
  readonly summary: string;
  /** InfluxQL; Grafana puts the time range in. */
  readonly query: string;
  /** How far back the query looks, seconds. */
  readonly windowSeconds: number;
  readonly above?: number;
  readonly below?: number;
  /** How long it must hold. */
  readonly for: string;
}

const HOUR = 3600;

export const ALERTS: readonly Alert[] = [
  {
    uid: 'ecavg-guard',
    title: 'The guard refused a version',
    summary: 'The average of a round would have been worse than the version before, and was not published.',
    query: `SELECT count("round") FROM "ecavg_round" WHERE "decision" = 'kept-previous' AND $timeFilter GROUP BY "fleet", "model"`,
    windowSeconds: HOUR,
    above: 0,
    for: '0s',
  },
  {
    uid: 'ecavg-silent',
    title: 'A gateway is silent',
    summary: 'A gateway that reported within a day has not done so for an hour or two.',
    query: `SELECT count("version") FROM "ecavg_edge" WHERE $timeFilter GROUP BY time(1h), "fleet", "edge" fill(0)`,
    windowSeconds: 24 * HOUR,
    below: 1,
    // The last hour of the query has just begun: it must stay empty until its end.
    for: '1h',
  },
  {
    uid: 'ecavg-missing',
    title: 'A sensor is missing',
    summary: 'More than a fifth of a sensor’s values were missing, or stuck.',
    query: `SELECT max("missing") FROM "ecavg_quality" WHERE "event" = 'quality' AND $timeFilter GROUP BY "fleet", "edge", "channel"`,
    windowSeconds: 600,
    above: 0.2,
    for: '10m',
  },
  {
    uid: 'ecavg-drift',
    title: 'The data of a gateway has drifted',
    summary: 'A sensor, or the model’s score, is no longer what it was; a round was asked for.',
    query: `SELECT count("version") FROM "ecavg_edge" WHERE "event" = 'drift' AND $timeFilter GROUP BY "fleet", "edge"`,
    windowSeconds: HOUR,
    above: 0,
    for: '0s',
  },
  {
    uid: 'ecavg-quorum',
    title: 'A round missed its quorum',
    summary: 'Too few gateways had answered at the deadline; the round stays open.',
    query: `SELECT count("round") FROM "ecavg_quorum" WHERE $timeFilter GROUP BY "fleet", "model"`,
    windowSeconds: HOUR,
    above: 0,
    for: '0s',
  },
  {
    uid: 'ecavg-disk',
    title: 'The cloud’s disk is nearly full',
    summary: 'Less than a tenth of the disk of dataDir is free; updates can not be accepted without room.',
    query: `SELECT min("disk_free_share") FROM "ecavg_process" WHERE $timeFilter GROUP BY "role"`,
    windowSeconds: 600,
    below: 0.1,
    for: '5m',
  },
];
