import { stringify } from 'yaml';
import { dashboard } from './dashboards.js';
import { BOARDS } from './panels.js';
import { alerting, dashboardProvider, datasources } from './provisioning.js';

const HEAD = '# Made by "npm run generate:grafana" from deploy/src; change it there.\n';

/** Every file of deploy/grafana, by its path there. */
export function grafanaFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const board of BOARDS)
    files.set(`dashboards/${board.uid}.json`, `${JSON.stringify(dashboard(board), null, 2)}\n`);
  files.set('provisioning/datasources/ecavg.yaml', HEAD + stringify(datasources()));
  files.set('provisioning/dashboards/ecavg.yaml', HEAD + stringify(dashboardProvider()));
  files.set('provisioning/alerting/ecavg.yaml', HEAD + stringify(alerting(), { aliasDuplicateObjects: false }));
  return files;
}
