/** One InfluxQL query of a panel; Grafana puts the time range and the variables in. */
export interface Query {
  readonly query: string;
  /** Name of the series; `$tag_edge` stands for a tag's value. */
  readonly alias?: string;
}

export interface Panel {
  readonly kind: 'timeseries' | 'stat' | 'table';
  readonly title: string;
  /** For people who do not know the word. */
  readonly description?: string;
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  readonly width?: number;
  readonly queries: readonly [Query, ...Query[]];
}

export interface Board {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** Whether it is about one gateway. */
  readonly gateway?: boolean;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

/** Which points of a measurement: of the fleet and model that are chosen, in the time range. */
const of = (measurement: string, more = ''): string =>
  `FROM "${measurement}" WHERE "fleet" =~ /^$fleet$/ AND "model" =~ /^$model$/${more && ` AND ${more}`} AND $timeFilter`;
const JUDGED = `("event" = 'adopted' OR "event" = 'kept')`;
const last = (field: string, measurement: string, more = ''): string =>
  `SELECT last("${field}") ${of(measurement, more)}`;
/** A series over time; without a value there is a gap. */
const series = (what: string, from: string, group = ''): string =>
  `SELECT ${what} ${from} GROUP BY time($__interval)${group && `, ${group}`} fill(none)`;
const overTime = (field: string, measurement: string, alias: string): Query => ({
  query: series(`mean("${field}")`, of(measurement)),
  alias,
});

const fleet: Board = {
  uid: 'ecavg-fleet',
  title: 'ecavg / Fleet',
  description: 'Which gateways are there, and what they have in use',
  rows: [
    {
      title: 'Now',
      panels: [
        {
          kind: 'stat',
          title: 'Gateways that reported',
          queries: [
            { query: `SELECT count("v") FROM (SELECT last("version") AS "v" ${of('ecavg_edge')} GROUP BY "edge")` },
          ],
        },
        { kind: 'stat', title: 'Version in force', queries: [{ query: last('version', 'ecavg_model') }] },
        {
          kind: 'stat',
          title: 'Its accuracy',
          unit: 'percentunit',
          description:
            "On the cloud's own samples; of models for unlabelled data the share of the variance that is explained",
          queries: [{ query: last('accuracy', 'ecavg_model') }],
        },
        { kind: 'stat', title: 'Gateways in the last round', queries: [{ query: last('updates', 'ecavg_round') }] },
      ],
    },
    {
      title: 'Gateways',
      panels: [
        {
          kind: 'table',
          title: 'What each gateway has in use',
          width: 24,
          description: "Accuracy on the gateway's own held-back samples",
          queries: [
            {
              query: `SELECT last("val_serving") AS "in use", last("val_before") AS "before", last("val_after") AS "new version", last("version") AS "version" ${of('ecavg_edge', JUDGED)} GROUP BY "edge"`,
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Reports of each gateway',
          description: 'A gateway without any is silent',
          width: 12,
          queries: [
            {
              query: `SELECT count("version") ${of('ecavg_edge')} GROUP BY time($__interval), "edge" fill(0)`,
              alias: '$tag_edge',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'In use, on own samples',
          unit: 'percentunit',
          width: 12,
          queries: [{ query: series('mean("val_serving")', of('ecavg_edge', JUDGED), '"edge"'), alias: '$tag_edge' }],
        },
      ],
    },
  ],
};

const rounds: Board = {
  uid: 'ecavg-rounds',
  title: 'ecavg / Rounds',
  description: 'Who took part, how long it took, what was decided',
  rows: [
    {
      title: 'Rounds',
      panels: [
        {
          kind: 'timeseries',
          title: 'Asked, and answered',
          queries: [overTime('participants', 'ecavg_round', 'asked'), overTime('updates', 'ecavg_round', 'answered')],
        },
        {
          kind: 'timeseries',
          title: 'Duration',
          unit: 's',
          queries: [overTime('duration_seconds', 'ecavg_round', 'round')],
        },
        {
          kind: 'timeseries',
          title: 'Local training',
          unit: 's',
          queries: [
            { query: series('mean("seconds")', of('ecavg_edge', `"event" = 'trained'`), '"edge"'), alias: '$tag_edge' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Samples behind a round',
          queries: [overTime('samples', 'ecavg_round', 'samples')],
        },
        {
          kind: 'table',
          title: 'Decisions',
          width: 24,
          description:
            'fine-tuned: the tuned average was published; average: the average as it was; kept-previous: neither was good enough',
          queries: [
            {
              query: `SELECT "round", "decision", "version", "updates", "participants", "accuracy_previous", "accuracy_average", "accuracy_fine_tuned" ${of('ecavg_round')} ORDER BY time DESC LIMIT 50`,
            },
          ],
        },
      ],
    },
  ],
};

const quality: Board = {
  uid: 'ecavg-quality',
  title: 'ecavg / Model quality and negative transfer',
  description: 'Is the model getting better, and whom does it hurt',
  rows: [
    {
      title: 'The model',
      panels: [
        {
          kind: 'timeseries',
          title: 'Accuracy before, of the average, fine-tuned',
          unit: 'percentunit',
          width: 16,
          queries: [
            overTime('accuracy_previous', 'ecavg_round', 'version before'),
            overTime('accuracy_average', 'ecavg_round', 'average'),
            overTime('accuracy_fine_tuned', 'ecavg_round', 'fine-tuned'),
          ],
        },
        { kind: 'timeseries', title: 'Loss', width: 8, queries: [overTime('loss', 'ecavg_model', 'version in force')] },
      ],
    },
    {
      title: 'Early warnings of negative transfer',
      panels: [
        {
          kind: 'timeseries',
          title: 'Gain over the version before, and over the best gateway alone',
          unit: 'percentunit',
          description: 'Below 0 averaging costs accuracy',
          queries: [
            overTime('over_previous', 'ecavg_guard', 'over the version before'),
            overTime('over_best_edge', 'ecavg_guard', 'over the best gateway'),
          ],
        },
        {
          kind: 'timeseries',
          title: 'Do the updates agree',
          description: 'Cosine of each update with their average: near 0 or below, gateways pull apart',
          queries: [overTime('cosine_mean', 'ecavg_guard', 'mean'), overTime('cosine_least', 'ecavg_guard', 'least')],
        },
        {
          kind: 'timeseries',
          title: 'Loss barrier',
          description:
            'Loss half way to the average, less the mean of both ends: above 0 there is a ridge between them',
          queries: [overTime('loss_barrier', 'ecavg_guard', 'barrier')],
        },
        {
          kind: 'timeseries',
          title: 'What the guard did',
          queries: [
            { query: series('count("round")', of('ecavg_guard'), '"rung"'), alias: '$tag_rung' },
            overTime('left_out', 'ecavg_guard', 'gateways left out'),
            overTime('norm_outliers', 'ecavg_guard', 'updates far longer than others'),
          ],
        },
      ],
    },
    {
      title: 'What gateways say',
      panels: [
        {
          kind: 'timeseries',
          title: 'Change on own samples',
          unit: 'percentunit',
          queries: [
            overTime('mean_change', 'ecavg_reception', 'mean'),
            overTime('worst_change', 'ecavg_reception', 'worst'),
          ],
        },
        {
          kind: 'timeseries',
          title: 'Gateways that a version hurts',
          queries: [overTime('hurt', 'ecavg_reception', 'hurt')],
        },
      ],
    },
  ],
};

const wire: Board = {
  uid: 'ecavg-wire',
  title: 'ecavg / Wire and cost',
  description: 'What learning costs in bytes',
  rows: [
    {
      title: 'Bytes',
      panels: [
        {
          kind: 'timeseries',
          title: 'Size of an update',
          unit: 'bytes',
          queries: [
            { query: series('mean("bytes")', of('ecavg_edge', `"event" = 'trained'`), '"edge"'), alias: '$tag_edge' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'So many times smaller than float32',
          queries: [
            {
              query: `SELECT mean("f") / mean("b") FROM (SELECT "bytes_float32" AS "f", "bytes" AS "b" ${of('ecavg_edge', `"event" = 'trained'`)}) WHERE $timeFilter GROUP BY time($__interval) fill(none)`,
              alias: 'ratio',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Model bytes down to each gateway',
          unit: 'bytes',
          queries: [{ query: series('sum("bytes_down")', of('ecavg_edge', JUDGED), '"edge"'), alias: '$tag_edge' }],
        },
        {
          kind: 'timeseries',
          title: 'Update messages since the cloud started',
          unit: 'bytes',
          queries: [overTime('bytes', 'ecavg_wire', 'bytes')],
        },
      ],
    },
    {
      title: 'Refused',
      panels: [
        {
          kind: 'timeseries',
          title: 'Messages refused, by reason',
          width: 24,
          queries: [{ query: series('count("total")', of('ecavg_reject'), '"reason"'), alias: '$tag_reason' }],
        },
      ],
    },
  ],
};

const EDGE = `"edge" =~ /^$edge$/`;
const gateway: Board = {
  uid: 'ecavg-gateway',
  title: 'ecavg / Gateway',
  description: 'One gateway: its training, its sensors, its answers',
  gateway: true,
  rows: [
    {
      title: 'Learning',
      panels: [
        {
          kind: 'timeseries',
          title: 'Accuracy on own samples',
          unit: 'percentunit',
          queries: [
            {
              query: series('mean("val_after")', of('ecavg_edge', `"event" = 'trained' AND ${EDGE}`), '"edge"'),
              alias: '$tag_edge trained here',
            },
            {
              query: series('mean("val_serving")', of('ecavg_edge', `${JUDGED} AND ${EDGE}`), '"edge"'),
              alias: '$tag_edge in use',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Loss of local training',
          queries: [{ query: series('mean("loss")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge' }],
        },
      ],
    },
    {
      title: 'Sensors',
      panels: [
        {
          kind: 'timeseries',
          title: 'Missing',
          unit: 'percentunit',
          description: 'Share of the time without a measured value',
          queries: [
            {
              query: series('mean("missing")', of('ecavg_quality', EDGE), '"edge", "channel"'),
              alias: '$tag_edge $tag_channel',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Stuck',
          unit: 'percentunit',
          description: 'Share of the time in which a value had not moved for suspiciously long',
          queries: [
            {
              query: series('mean("stuck")', of('ecavg_quality', EDGE), '"edge", "channel"'),
              alias: '$tag_edge $tag_channel',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Readings, and those that were refused',
          queries: [
            {
              query: series('sum("readings")', of('ecavg_quality', EDGE), '"edge", "channel"'),
              alias: '$tag_edge $tag_channel',
            },
            {
              query: series('sum("out_of_range")', of('ecavg_quality', EDGE), '"edge", "channel"'),
              alias: '$tag_edge $tag_channel out of range',
            },
            {
              query: series('sum("late")', of('ecavg_quality', EDGE), '"edge", "channel"'),
              alias: '$tag_edge $tag_channel late',
            },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Samples stored',
          queries: [
            { query: series('last("stored_train")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge to train on' },
            {
              query: series('last("stored_validation")', of('ecavg_edge', EDGE), '"edge"'),
              alias: '$tag_edge held back',
            },
          ],
        },
      ],
    },
    {
      title: 'Answers to sensors',
      panels: [
        {
          kind: 'timeseries',
          title: 'Latency',
          unit: 'ms',
          queries: [
            { query: series('mean("latency_median_ms")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge median' },
            { query: series('mean("latency95_ms")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge 95 %' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Requests and anomalies',
          queries: [
            { query: series('sum("requests")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge requests' },
            { query: series('sum("anomalies")', of('ecavg_edge', EDGE), '"edge"'), alias: '$tag_edge anomalies' },
          ],
        },
      ],
    },
  ],
};

const brokerOf = `FROM "ecavg_broker" WHERE "fleet" =~ /^$fleet$/ AND $timeFilter`;
const processOf = 'FROM "ecavg_process" WHERE $timeFilter';
const broker: Board = {
  uid: 'ecavg-broker',
  title: 'ecavg / Broker',
  description: 'The broker, by its $SYS topics, and the process of the cloud',
  rows: [
    {
      title: 'Broker',
      panels: [
        {
          kind: 'timeseries',
          title: 'Clients',
          queries: [{ query: series('mean("clients")', brokerOf, '"fleet"'), alias: '$tag_fleet' }],
        },
        {
          kind: 'timeseries',
          title: 'Messages a second',
          queries: [
            {
              query: series('non_negative_derivative(mean("messages_received"), 1s)', brokerOf, '"fleet"'),
              alias: 'received',
            },
            { query: series('non_negative_derivative(mean("messages_sent"), 1s)', brokerOf, '"fleet"'), alias: 'sent' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Bytes a second',
          unit: 'Bps',
          queries: [
            {
              query: series('non_negative_derivative(mean("bytes_received"), 1s)', brokerOf, '"fleet"'),
              alias: 'received',
            },
            { query: series('non_negative_derivative(mean("bytes_sent"), 1s)', brokerOf, '"fleet"'), alias: 'sent' },
          ],
        },
        {
          kind: 'timeseries',
          title: 'Uptime',
          unit: 's',
          queries: [{ query: series('last("uptime_seconds")', brokerOf, '"fleet"'), alias: '$tag_fleet' }],
        },
      ],
    },
    {
      title: 'Cloud',
      panels: [
        {
          kind: 'timeseries',
          title: 'Memory',
          unit: 'bytes',
          queries: [{ query: series('mean("memory_bytes")', processOf), alias: 'resident' }],
        },
        {
          kind: 'timeseries',
          title: 'CPU',
          unit: 'percentunit',
          queries: [{ query: series('mean("cpu_cores")', processOf), alias: 'of a core' }],
        },
        {
          kind: 'timeseries',
          title: 'Event loop delay',
          unit: 'ms',
          queries: [{ query: series('mean("event_loop_delay_ms")', processOf), alias: '99 %' }],
        },
        {
          kind: 'timeseries',
          title: 'Disk free',
          unit: 'percentunit',
          min: 0,
          max: 1,
          queries: [{ query: series('mean("disk_free_share")', processOf), alias: 'free' }],
        },
      ],
    },
  ],
};

export const BOARDS: readonly Board[] = [fleet, rounds, quality, wire, gateway, broker];
