/**
 * The text format of OpenMetrics 1.0. prom-client can write it, but renames its counters for good as it does, so that the
 * older format could not be had beside it; and it can keep exemplars only by doing more for each request.
 */
import type { Registry } from 'prom-client';

import type { Exemplar, Labels } from './exemplars.ts';

export const openMetricsType = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

type Family = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number];

/**
 * Whether whoever asks would rather have OpenMetrics than the older text. Nobody gets it who does not name it.
 *
 * @param accept the header, RFC 9110 section 12.5.1
 */
export function wantsOpenMetrics(accept: string | undefined): boolean {
  const weights = { open: 0, text: 0 };
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const named = new Map(
      parameters.map((each) => [each.split('=')[0]?.trim() ?? '', each.split('=')[1]?.trim() ?? '']),
    );
    const weight = Number(named.get('q') ?? '1');
    if (!(weight >= 0 && weight <= 1)) continue;
    if (type === 'application/openmetrics-text') {
      if (['1.0.0', '0.0.1'].includes(named.get('version') ?? '1.0.0')) weights.open = Math.max(weights.open, weight);
    } else if (type === 'text/plain') weights.text = Math.max(weights.text, weight);
  }
  return weights.open > 0 && weights.open >= weights.text;
}

/**
 * @param families as `Registry.getMetricsAsJSON` gives them
 * @param exemplarOf of a series; for a histogram `place` is the bucket's upper bound
 */
export function renderOpenMetrics(
  families: readonly Family[],
  exemplarOf: (metric: string, labels: Labels, place: string) => Exemplar | undefined,
): string {
  const lines: string[] = [];
  for (const { name, help, type, values } of families) {
    // Typed as a number, and a text in truth.
    const kind = String(type);
    const isCounter = kind === 'counter';
    const family = isCounter ? name.replace(/_total$/, '') : name;
    lines.push(`# HELP ${family} ${escapeText(help)}`, `# TYPE ${family} ${kind}`);
    for (const each of values) {
      const sample = 'metricName' in each && typeof each.metricName === 'string' ? each.metricName : name;
      const { le, ...labels } = readLabels(each.labels);
      const place = le === undefined ? '' : String(le);
      const isPointed = isCounter || sample.endsWith('_bucket');
      const exemplar = isPointed ? exemplarOf(name, labels, place) : undefined;
      const all = le === undefined ? labels : { le: canonicalNumber(le), ...labels };
      lines.push(`${sample}${renderLabels(all)} ${renderNumber(each.value)}${renderExemplar(exemplar)}`);
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

function readLabels(labels: Readonly<Partial<Record<string, string | number>>>): Record<string, string | number> {
  const read: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(labels)) if (value !== undefined) read[name] = value;
  return read;
}

function renderExemplar(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return '';
  return ` # ${renderLabels(exemplar.labels)} ${renderNumber(exemplar.value)} ${exemplar.timeS.toFixed(3)}`;
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeText(String(value))}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

/** So that a bucket has one name, whoever writes it: OpenMetrics 1.0, canonical numbers. */
function canonicalNumber(bound: string | number): string {
  const text = String(bound);
  return /^\d+$/.test(text) ? `${text}.0` : text;
}

function renderNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
