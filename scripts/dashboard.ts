/** The JSON of the Grafana dashboard: schema version 39, Grafana 10 and newer. */
import { type Panel, rows } from './dashboard-panels.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana's
const datasource = { type: 'prometheus', uid: '${datasource}' };
const heights = { stat: 4, table: 6, timeseries: 8 } as const;

export function buildDashboard(): object {
  return {
    uid: 'opallama',
    title: 'opallama',
    tags: ['opallama', 'ollama'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        buildVariable('job', 'label_values(opallama_build_info, job)'),
        buildVariable('instance', 'label_values(opallama_build_info{job=~"$job"}, instance)'),
      ],
    },
    panels: placePanels(),
  };
}

/** From left to right, in rows of 24 columns. */
function placePanels(): readonly object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    placed.push({ type: 'row', title, collapsed: false, panels: [], gridPos: { h: 1, w: 24, x: 0, y } });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const panel of panels) {
      if (x + panel.width > 24) [x, y, tallest] = [0, y + tallest, 0];
      const h = heights[panel.kind];
      placed.push({ ...buildPanel(panel), gridPos: { h, w: panel.width, x, y } });
      x += panel.width;
      tallest = Math.max(tallest, h);
    }
    y += tallest;
  }
  return placed.map((panel, at) => ({ id: at + 1, ...panel }));
}

function buildPanel({ title, kind, unit, queries }: Panel): object {
  const isGraph = kind === 'timeseries';
  return {
    type: kind,
    title,
    datasource,
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      datasource,
      expr,
      legendFormat: legend,
      ...(kind === 'table' ? { format: 'table', instant: true } : { range: true }),
      ...(expr.includes('_bucket') && { exemplar: true }),
    })),
    fieldConfig: {
      defaults: { unit, ...(isGraph && { min: 0, custom: { fillOpacity: 10, showPoints: 'never' } }) },
      overrides: [],
    },
    options: isGraph ? { legend: { placement: 'bottom' }, tooltip: { mode: 'multi' } } : {},
  };
}

function buildVariable(name: string, query: string): object {
  return {
    name,
    type: 'query',
    datasource,
    query: { query, refId: name },
    refresh: 2,
    multi: true,
    includeAll: true,
    current: { text: 'All', value: '$__all' },
  };
}
