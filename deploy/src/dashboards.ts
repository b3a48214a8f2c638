import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { BigValueGraphMode, ReduceDataOptionsBuilder } from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { Board, Panel, Query } from './panels.js';

/** The provisioned data source; a variable lets people choose another. */
export const DATASOURCE_UID = 'ecavg-influxdb';
const SOURCE = { type: 'influxdb', uid: '$datasource' };

/** An InfluxQL query as Grafana's InfluxDB plugin takes it; the SDK knows no such type. */
export class InfluxQuery implements Builder<Dataquery> {
  constructor(
    private readonly query: Query,
    private readonly refId: string,
    private readonly format: 'time_series' | 'table',
  ) {}

  build(): Dataquery {
    const { query, alias } = this.query;
    const target = {
      refId: this.refId,
      datasource: SOURCE,
      rawQuery: true,
      query,
      resultFormat: this.format,
      ...(alias !== undefined && { alias }),
    };
    return target as unknown as Dataquery;
  }
}

const LETTERS = 'ABCDEFGH';

interface PanelKind {
  make(): StatBuilder | TableBuilder | TimeseriesBuilder;
  readonly height: number;
  /** Columns of 24, where the panel says none. */
  readonly span: number;
  readonly format: 'time_series' | 'table';
}

const KINDS: Readonly<Record<Panel['kind'], PanelKind>> = {
  stat: {
    make: () =>
      new StatBuilder()
        .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
        .graphMode(BigValueGraphMode.None),
    height: 4,
    span: 6,
    format: 'time_series',
  },
  table: { make: () => new TableBuilder(), height: 8, span: 12, format: 'table' },
  timeseries: {
    make: () => new TimeseriesBuilder().spanNulls(true),
    height: 8,
    span: 12,
    format: 'time_series',
  },
};

function panel({ kind, title, description, unit, min, max, width, queries }: Panel) {
  const { make, height, span, format } = KINDS[kind];
  const builder = make();
  builder
    .title(title)
    .datasource(SOURCE)
    .height(height)
    .span(width ?? span);
  if (description !== undefined) builder.description(description);
  if (unit !== undefined) builder.unit(unit);
  if (min !== undefined) builder.min(min);
  if (max !== undefined) builder.max(max);
  for (const [i, query] of queries.entries()) builder.withTarget(new InfluxQuery(query, LETTERS[i] ?? 'A', format));
  return builder;
}

function variable(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(SOURCE)
    .query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ text: 'All', value: '$__all' });
}

/** A dashboard as Grafana loads it from a file. */
export function dashboard(board: Board): object {
  const builder = new DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags(['ecavg'])
    .refresh('30s')
    .time({ from: 'now-24h', to: 'now' })
    .timezone('browser')
    .link(new DashboardLinkBuilder('ecavg').type(DashboardLinkType.Dashboards).tags(['ecavg']).asDropdown(true))
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('influxdb'))
    .withVariable(variable('fleet', 'Fleet', 'SHOW TAG VALUES FROM "ecavg_round" WITH KEY = "fleet"'))
    .withVariable(variable('model', 'Model', 'SHOW TAG VALUES FROM "ecavg_round" WITH KEY = "model"'));
  if (board.gateway)
    builder.withVariable(variable('edge', 'Gateway', 'SHOW TAG VALUES FROM "ecavg_edge" WITH KEY = "edge"'));
  for (const { title, panels } of board.rows) {
    builder.withRow(new RowBuilder(title));
    for (const one of panels) builder.withPanel(panel(one));
  }
  return builder.build();
}
