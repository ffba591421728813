import { isIP, isIPv6 } from 'node:net';
import type { Address } from '../configured/config.ts';

/** A value that is not written as its unit asks; the message ends the sentence "`member`: ...". */
export class UnitError extends Error {
  override readonly name = 'UnitError';
}

const durationUnits: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** `setTimeout` takes a longer wait for 1 ms, so a limit of a month would end every request at once. */
const longestTimer = 2_147_483_647;

/** `2s`, `500ms`, `5m`, `1h`, `0s`, in ms. A plain number but 0 is refused: seconds for one reader are ms for the other. */
export function parseDuration(value: string | number): number {
  if (value === 0 || value === '0') return 0;
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h)$/.exec(String(value));
  const factor = durationUnits.get(match?.[2] ?? '');
  if (match === null || factor === undefined) {
    const hint = /^\d+$/.test(String(value)) ? `, as in ${value}s` : ': 500ms, 2s, 5m or 1h';
    throw new UnitError(`${quote(value)} is not a duration; write a number and its unit${hint}`);
  }
  const ms = Math.round(Number(match[1]) * factor);
  if (ms > longestTimer) throw new UnitError(`${quote(value)} is too long; at most 596h, or 0s for none`);
  if (ms === 0 && Number(match[1]) !== 0) throw new UnitError(`${quote(value)} is shorter than 1ms; 0s means none`);
  return ms;
}

const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['KB', 1_000],
  ['MB', 1_000_000],
  ['GB', 1_000_000_000],
  ['KiB', 1_024],
  ['MiB', 1_048_576],
  ['GiB', 1_073_741_824],
]);

/** `32MiB`, `16KiB`, `1MB` or a number of bytes, in bytes; at least 1. */
export function parseSize(value: string | number): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]*)$/.exec(String(value));
  const factor = sizeUnits.get(match?.[2] ?? '');
  const bytes = match === null || factor === undefined ? Number.NaN : Math.round(Number(match[1]) * factor);
  if (!Number.isSafeInteger(bytes)) {
    throw new UnitError(`${quote(value)} is not a size; write 32MiB, 16KiB, 1MB or a number of bytes`);
  }
  if (bytes < 1) throw new UnitError('must be at least one byte');
  return bytes;
}

/** `host:port`, `[::1]:port`; `:port` and a port alone mean every IPv4 address. Port 0 is any free one. */
export function parseAddress(value: string | number): Address {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(String(value));
  if (match === null) {
    const hint = isIPv6(String(value))
      ? `; an IPv6 address stands in brackets: [${value}]:8080`
      : '; write host:port or :port';
    throw new UnitError(`${quote(value)} is not an address${hint}`);
  }
  const [, bracketed, plain = '', digits] = match;
  const port = Number(digits);
  if (port > 65_535) throw new UnitError(`${quote(value)}: a port is at most 65535`);
  if (bracketed !== undefined) {
    if (!isIPv6(bracketed)) throw new UnitError(`${quote(value)}: only an IPv6 address stands in brackets`);
    return { host: bracketed, port };
  }
  if (plain === '') return { host: '0.0.0.0', port };
  if (!isHostName(plain)) throw new UnitError(`${quote(value)}: ${quote(plain)} is neither a host name nor an address`);
  return { host: plain.toLowerCase(), port };
}

/** RFC 1123 section 2.1, underscores allowed as container networks use them; what looks like an IPv4 address must be one. */
export function isHostName(name: string): boolean {
  if (/^[\d.]+$/.test(name)) return isIP(name) === 4;
  return name.length <= 253 && /^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*$/i.test(name);
}

/**
 * The address of an upstream: http or https, a path prefix allowed and given back without a slash at its end.
 * The wildcard addresses, which are for listening, become loopback.
 */
export function parseBaseUrl(text: string): URL {
  // WHATWG parsing drops tabs and line feeds and turns a backslash round: what is read is then not what was written.
  if (/[\s\\]/.test(text)) throw new UnitError('a URL holds neither white space nor backslashes');
  if (!/^https?:\/\//i.test(text)) {
    const hint = /^[\w.-]+(:\d+)?(\/|$)/.test(text) ? `; write http://${text}` : '; it begins with http:// or https://';
    throw new UnitError(`${quote(text)} is not an upstream's URL${hint}`);
  }
  const url = URL.parse(text);
  if (url === null) throw new UnitError('is not a valid URL');
  // Never quoted: it may be a password.
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    throw new UnitError('a URL with a user name or password is refused; Ollama takes none');
  }
  if (/[?#]/.test(text))
    throw new UnitError('a query or fragment is refused; only scheme, host, port and a path prefix stand here');
  if (url.port === '0') throw new UnitError('port 0 cannot be called');
  // Looked at as it is written: parsing has already resolved dot segments, also those that are written with "%2e".
  if (/%|\/\/|\/\.\.?(\/|$)/.test(text.slice(text.indexOf('://') + 3))) {
    throw new UnitError('the path prefix must be plain: no "%", no "//", no dot segment');
  }
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  if (url.hostname === '[::]') url.hostname = '[::1]';
  if (url.pathname !== '/') url.pathname = url.pathname.replace(/\/$/, '');
  return url;
}

/** A value for a message: on one line, not longer than a glance. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 76)}..."` : text;
}
