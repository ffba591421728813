/** What the bench found, against what it is to be (issue "First light", and CONTRIBUTING for what a change may cost). */

export interface Aim {
  /** Most that it may be. */
  readonly limit: number;
  /** What is held against the limit: the figure itself, or its ratio to the bare proxy's. */
  readonly of: 'value' | 'ratio';
}

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly direct?: number;
  readonly bare?: number;
  readonly sidecar: number;
  /** Median of the rounds' own ratios, sidecar to bare. */
  readonly ratio?: number;
  readonly aim?: Aim;
}

export interface Part {
  readonly part: string;
  /** Time in its own code alone. The other two have in them what Node did on its behalf. */
  readonly sidecarSelf: number;
  readonly sidecar: number;
  readonly bare: number;
}

export interface PartTable {
  readonly name: string;
  readonly unit: string;
  readonly parts: readonly Part[];
}

export interface Results {
  readonly node: string;
  readonly platform: string;
  readonly cpus: string;
  readonly quick: boolean;
  readonly figures: readonly Figure[];
  readonly parts: readonly PartTable[];
  /** What could make these figures mislead. */
  readonly remarks: readonly string[];
}

/** @returns undefined for a figure without an aim */
export function isMet(figure: Figure): boolean | undefined {
  if (figure.aim === undefined) return undefined;
  const value = figure.aim.of === 'ratio' ? figure.ratio : figure.sidecar;
  return value !== undefined && value <= figure.aim.limit;
}

export function render(results: Results): string {
  const { node, platform, cpus, quick } = results;
  const lines = [
    `opallama bench${quick ? ' --quick (short rounds: expect noise)' : ''}: Node ${node}, ${platform}, ${cpus}`,
    '',
  ];
  lines.push(
    ...renderTable(['', 'direct', 'bare', 'sidecar', '', 'ratio', 'aim', ''], results.figures.map(renderFigure)),
  );
  for (const table of results.parts) {
    lines.push('', `${table.name}, part by part (${table.unit}):`, '');
    const header = ['', 'bare', 'sidecar', 'its own code'];
    const rows = table.parts.map(({ part, bare, sidecar, sidecarSelf }) => [
      part,
      ...[bare, sidecar, sidecarSelf].map(round),
    ]);
    lines.push(...renderTable(header, rows));
  }
  const missed = results.figures.filter((figure) => isMet(figure) === false);
  lines.push('');
  for (const figure of missed) lines.push(`MISSED  ${figure.name}: ${describeCulprits(figure, results.parts)}`);
  lines.push(...results.remarks.map((remark) => `Remark: ${remark}`));
  return `${lines.join('\n').trimEnd()}\n`;
}

function renderFigure(figure: Figure): readonly string[] {
  const { name, direct, bare, sidecar, unit, ratio, aim } = figure;
  const met = isMet(figure);
  return [
    name,
    round(direct),
    round(bare),
    round(sidecar),
    unit,
    ratio === undefined ? '' : ratio.toFixed(2),
    aim === undefined ? '' : `<= ${aim.limit}${aim.of === 'ratio' ? 'x' : ''}`,
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ];
}

/** The parts that cost most beyond the bare proxy, if there is a table of the figure's parts. */
function describeCulprits(figure: Figure, tables: readonly PartTable[]): string {
  const table = tables.find(({ name }) => figure.name.startsWith(name));
  if (table === undefined) return 'not split into parts';
  return table.parts
    .map(({ part, sidecar, bare }) => ({ part, more: sidecar - bare }))
    .sort((a, b) => b.more - a.more)
    .slice(0, 4)
    .map(({ part, more }) => `${part} +${round(more)} ${table.unit}`)
    .join(', ');
}

function round(value: number | undefined): string {
  if (value === undefined) return '';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function renderTable(header: readonly string[], rows: ReadonlyArray<readonly string[]>): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) =>
        /^-?[\d.]+$/.test(cell) || row === header
          ? cell.padStart(widths[column] ?? 0)
          : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}
