import { QueryBuilder, RuleBuilder } from '@grafana/grafana-foundation-sdk/alerting';
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { ALERTS, type Alert } from './alerts.js';
import { DATASOURCE_UID } from './dashboards.js';

/** Where Grafana's container finds the dashboards. */
const DASHBOARDS = '/etc/grafana/dashboards';

/** Grafana's file for the data source; address and credentials come from its environment. */
export const datasources = () => ({
  apiVersion: 1,
  datasources: [
    {
      name: 'ecavg',
      uid: DATASOURCE_UID,
      type: 'influxdb',
      access: 'proxy',
      url: '$INFLUX_URL',
      isDefault: true,
      jsonData: { dbName: '$INFLUX_DATABASE', httpMode: 'GET' },
      user: '$INFLUX_USER',
      secureJsonData: { password: '$INFLUX_PASSWORD' },
    },
  ],
});

export const dashboardProvider = () => ({
  apiVersion: 1,
  providers: [
    {
      name: 'ecavg',
      folder: 'ecavg',
      type: 'file',
      disableDeletion: true,
      allowUiUpdates: false,
      options: { path: DASHBOARDS },
    },
  ],
});

class Plain implements Builder<Dataquery> {
  constructor(private readonly model: object) {}
  build(): Dataquery {
    return this.model as unknown as Dataquery;
  }
}

function rule({ uid, title, summary, query, windowSeconds, above, below, for: hold }: Alert): object {
  const expression = { type: '__expr__', uid: '__expr__' };
  const built = new RuleBuilder(title)
    .uid(uid)
    .condition('C')
    .withQuery(
      new QueryBuilder('A')
        .datasourceUid(DATASOURCE_UID)
        .relativeTimeRange({ from: windowSeconds, to: 0 })
        .model(
          new Plain({
            refId: 'A',
            datasource: { type: 'influxdb', uid: DATASOURCE_UID },
            rawQuery: true,
            // A single $ would be a variable of Grafana's environment.
            query: query.replaceAll('$', '$$$$'),
            resultFormat: 'time_series',
          }),
        ),
    )
    .withQuery(
      new QueryBuilder('B')
        .datasourceUid('__expr__')
        .relativeTimeRange({ from: windowSeconds, to: 0 })
        .model(new Plain({ refId: 'B', datasource: expression, type: 'reduce', expression: 'A', reducer: 'last' })),
    )
    .withQuery(
      new QueryBuilder('C')
        .datasourceUid('__expr__')
        .relativeTimeRange({ from: windowSeconds, to: 0 })
        .model(
          new Plain({
            refId: 'C',
            datasource: expression,
            type: 'threshold',
            expression: 'B',
            conditions: [
              {
                evaluator: above === undefined ? { type: 'lt', params: [below ?? 0] } : { type: 'gt', params: [above] },
              },
            ],
          }),
        ),
    )
    .noDataState('OK')
    .execErrState('Error')
    .forDuration(hold)
    .annotations({ summary })
    .labels({ system: 'ecavg' })
    .build();
  // Files name their folder and group once, for all rules.
  const { folderUID: _, ruleGroup: __, orgID: ___, ...rest } = built;
  return rest;
}

export const alerting = () => ({
  apiVersion: 1,
  groups: [{ orgId: 1, name: 'ecavg', folder: 'ecavg', interval: '1m', rules: ALERTS.map(rule) }],
});
