import { quote, UnitError } from './units.ts';

/** Schemes whose origin the URL parser knows (WHATWG URL, "special schemes"); browsers and shells have others. */
const webScheme = /^https?:$/;
const otherOrigin = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~-]+(?::\d{1,5})?$/;

/**
 * One origin, spelled as browsers send it (RFC 6454, section 6.1), because it is compared as text: `https://ui.example`,
 * `http://localhost:3000`, `tauri://localhost`.
 */
export function parseOrigin(value: string | number): string {
  const text = String(value);
  // Never quoted: it may be a password.
  if (text.includes('@')) throw new UnitError('an origin has no user name and no password; write https://ui.example');
  if (text.includes('*')) {
    throw new UnitError(
      `${quote(value)} would let in pages that nobody knows; list each origin, as in https://ui.example`,
    );
  }
  if (text === 'null') {
    throw new UnitError(
      '"null" is the origin of every sandboxed page and local file; serve the page from an origin of its own',
    );
  }
  const written = spellOrigin(text);
  if (written === text) return text;
  const hint =
    written === undefined
      ? '; write scheme, host and port, as in https://ui.example or http://localhost:3000'
      : `; browsers send ${written}`;
  throw new UnitError(`${quote(value)} is not an origin${hint}`);
}

/** How browsers write the origin of this URL; undefined where none can be made out. */
function spellOrigin(text: string): string | undefined {
  if (/[\s\\]/.test(text)) return undefined;
  if (/^[\w.-]+(:\d+)?$/.test(text))
    return spellOrigin(`${/^(localhost|127\.)/.test(text) ? 'http' : 'https'}://${text}`);
  const url = URL.parse(text);
  if (url === null) return undefined;
  if (webScheme.test(url.protocol)) return url.origin;
  const origin = `${url.protocol}//${url.host}`;
  return otherOrigin.test(origin) ? origin : undefined;
}
