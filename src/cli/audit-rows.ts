/** Requests of the audit log as people and their tools read them: a table, JSON lines, CSV. */
import type { RequestEvent } from '../audit/file/requests.ts';
import { toLineJson } from '../audit/sink.ts';
import { printable, table } from './output.ts';

/** Members in CSV, in this order. Those that are added come at the end. */
export const csvColumns = [
  'time',
  'request_id',
  'decision_id',
  'principal',
  'agent_role',
  'tenant',
  'client_certificate',
  'api',
  'operation',
  'method',
  'path',
  'provider',
  'model',
  'target',
  'policy_result',
  'reasons',
  'engine',
  'revision',
  'changes',
  'status',
  'error',
  'outcome',
  'usage',
  'input_tokens',
  'output_tokens',
  'finish_reason',
  'stream',
  'has_system_prompt',
  'has_tools',
  'message_count',
  'time_to_first_token_ms',
  'duration_ms',
  'trace_id',
] as const;

/** RFC 4180, without the header. */
export function toCsvRow(request: RequestEvent): string {
  return `${csvColumns.map((name) => toCell(request[name])).join(',')}\r\n`;
}

export function csvHeader(): string {
  return `${csvColumns.join(',')}\r\n`;
}

/**
 * Text that a spreadsheet would take for a formula: behind blanks and what can't be seen, and behind what some of them
 * take for the end of a cell (OWASP, CSV injection). Full-width forms count as well.
 */
const formula = /(^|[,;|\t\r\n])([\s\p{Cc}\p{Cf}"']*)(?=[=+\-@%|＝＋－＠])/gu;

function toCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = Array.isArray(value) ? value.map(String).join(' ') : String(value);
  const harmless = printable(text.replace(formula, "$1'$2"));
  return `"${harmless.replaceAll('"', '""')}"`;
}

/** One line of JSON, no character in it that a terminal takes for a command. */
export function toJsonLine(request: RequestEvent): string {
  return `${toLineJson(request)}\n`;
}

const headings = [
  'time',
  'principal',
  'operation',
  'model',
  'result',
  'status',
  'outcome',
  'in',
  'out',
  'ms',
  'decision',
];
const align = ['left', 'left', 'left', 'left', 'left', 'right', 'left', 'right', 'right', 'right'] as const;
const longestCell = 40;

export function toTable(requests: readonly RequestEvent[], withHeadings = true): string {
  const rows = requests.map(toRow);
  return table(withHeadings ? [headings, ...rows] : rows, align);
}

function toRow(request: RequestEvent): readonly string[] {
  const reasons = request['reasons'];
  const [reason] = Array.isArray(reasons) ? reasons : [];
  const result = String(request['policy_result'] ?? '');
  const why = reason ?? request['error'];
  return [
    request['time'],
    request['principal'] ?? '-',
    request['operation'] ?? '-',
    request['model'] ?? '-',
    why === undefined ? result : `${result} (${why})`,
    request['status'] ?? '-',
    request['outcome'],
    request['input_tokens'] ?? '-',
    request['output_tokens'] ?? '-',
    typeof request['duration_ms'] === 'number' ? Math.round(request['duration_ms']) : '-',
    request['decision_id'] ?? '-',
  ].map((cell) => shorten(printable(String(cell))));
}

function shorten(text: string): string {
  return text.length > longestCell ? `${text.slice(0, longestCell - 1)}…` : text;
}
