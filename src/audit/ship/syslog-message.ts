/** Records as syslog messages, RFC 5424. */
import type { Recorded } from '../sink.ts';

const severities = { error: 3, warning: 4, notice: 5, informational: 6 } as const;

export interface SyslogHeader {
  /** RFC 5424, table 1. */
  readonly facility: number;
  readonly hostname: string;
  readonly processId: number;
}

/**
 * `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG`. The message is the record's JSON, in UTF-8 without the mark that
 * RFC 5424 puts before UTF-8: readers of JSON stumble over it, and without it these are octets, which is allowed.
 */
export function formatSyslog(recorded: Recorded, { facility, hostname, processId }: SyslogHeader): Buffer {
  const priority = facility * 8 + severities[severityOf(recorded)];
  const head = `<${priority}>1 ${recorded.event.time} ${hostname} opallama ${processId} ${recorded.kind} - `;
  return Buffer.from(`${head}{"event":"${recorded.kind}",${recorded.json().slice(1)}`);
}

/** Octet counting, RFC 6587 section 3.4.1 and RFC 5425 section 4.3: a line feed in a message can't end it. */
export function frameSyslog(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

export function severityOf(recorded: Recorded): keyof typeof severities {
  if (recorded.kind === 'admin') return 'notice';
  if (recorded.kind === 'shadow') return 'informational';
  const { outcome } = recorded.event;
  if (outcome === 'error') return 'error';
  if (outcome === 'incomplete') return 'warning';
  return outcome === 'denied' ? 'notice' : 'informational';
}

/** What may stand as a name there: printable ASCII without blanks, at most 255 octets; else the value for none. */
export function syslogName(name: string): string {
  return /^[!-~]{1,255}$/.test(name) ? name : '-';
}
