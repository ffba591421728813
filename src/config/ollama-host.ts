import { isIP } from 'node:net';
import type { Address } from '../configured/config.ts';
import { isHostName, parseBaseUrl, quote, UnitError } from './units.ts';

export const defaultUpstream = 'http://127.0.0.1:11434';

/**
 * The upstream that `OLLAMA_HOST` names, read as Ollama's own `envconfig` reads it: scheme, port and path may be missing;
 * the port is then 11434, or the scheme's own where a scheme is written. Unlike there a port that is none is refused.
 *
 * @throws UnitError
 */
export function parseOllamaHost(value: string): URL {
  const text = value.trim().replace(/^["']+|["']+$/g, '');
  const [, scheme = '', rest = ''] = /^(?:([^:/]*):\/\/)?(.*)$/s.exec(text) ?? [];
  if (!['', 'http', 'https'].includes(scheme))
    throw new UnitError(`${quote(scheme)} is no scheme of Ollama; write http or https`);
  if (text === 'ollama.com') return parseBaseUrl('https://ollama.com:443');

  const slash = rest.indexOf('/');
  const authority = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? '' : rest.slice(slash);
  const { host, port } = splitAuthority(authority);
  const standard = scheme === 'https' ? '443' : scheme === 'http' ? '80' : '11434';
  if (port !== '' && !/^\d{1,5}$/.test(port)) throw new UnitError(`${quote(port)} is no port`);
  return parseBaseUrl(`${scheme || 'http'}://${host}:${port || standard}${path}`);
}

function splitAuthority(authority: string): { host: string; port: string } {
  // "::1" without brackets is an address and no port, as for Go's net.SplitHostPort followed by net.ParseIP.
  if (isIP(authority) === 6) return { host: `[${authority}]`, port: '' };
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(authority) ?? ['', '?'];
  const bare = host.replace(/^\[|\]$/g, '');
  if (host.startsWith('[') ? isIP(bare) !== 6 : host !== '' && !isHostName(host)) {
    throw new UnitError(`${quote(authority)} is no host and port`);
  }
  // Without a host Ollama listens everywhere, so also here.
  return { host: host === '' ? '127.0.0.1' : host, port };
}

/** The address that a URL leads to, the port of its scheme where it names none. */
export function addressOf(url: URL): Address {
  const standard = url.protocol === 'https:' ? 443 : 80;
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || standard) };
}

/**
 * Whether two addresses are one, as far as their spelling tells: the names of the loopback are one, and a wildcard
 * address includes every loopback address. Any free port (0) is never another's.
 */
export function isSameAddress(a: Address, b: Address): boolean {
  if (a.port === 0 || a.port !== b.port) return false;
  if (a.host === b.host || (isWildcard(a.host) && isWildcard(b.host))) return true;
  if (isWildcard(a.host)) return isLoopback(b.host);
  if (isWildcard(b.host)) return isLoopback(a.host);
  return isLoopbackName(a.host) && isLoopbackName(b.host);
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Reached by this machine alone. */
export function isLoopback(host: string): boolean {
  return isLoopbackName(host) || /^127(\.\d+){3}$/.test(host);
}

/** `127.0.0.2` is none of these: an Ollama there stands apart from a sidecar on `127.0.0.1`. */
function isLoopbackName(host: string): boolean {
  return ['localhost', 'localhost.', '127.0.0.1', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1'].includes(host);
}
