import { isIPv4, isIPv6 } from 'node:net';
import { RequestError } from '../errors.ts';

export interface Head {
  readonly httpVersion: string;
  /** Names and values in turn, as Node gives them: a second `Host` is still there. */
  readonly rawHeaders: readonly string[];
}

export interface HeadRules {
  /** Origins that may call, compared exactly; design: none by default. */
  readonly allowedOrigins: readonly string[];
  /**
   * Names that `Host` may hold beside addresses and `localhost`; undefined where it does not matter because every caller
   * proves who it is. Where anonymous is configured it does: a web page could call by way of DNS rebinding.
   */
  readonly hosts: readonly string[] | undefined;
  /** This sidecar's own name in `Via`: a request that holds it has been here before. */
  readonly pseudonym: string;
}

/**
 * Refuses a head that two readers could frame or route in two ways, and callers that a browser was talked into being.
 *
 * @throws RequestError `malformed_http`, `invalid_host`, `forbidden_host`, `forbidden_origin`, `upgrade_refused`,
 *   `expectation_failed`, `loop_detected`, `unsupported_encoding`, `unsupported_charset`
 */
export function checkHead(head: Head, rules: HeadRules): void {
  // Node's parser also takes HTTP/0.9, which has no headers, and HTTP/2.0, which is no text.
  if (head.httpVersion !== '1.1' && head.httpVersion !== '1.0') {
    throw new RequestError('malformed_http', 'Speak HTTP/1.1.');
  }
  let host: string | undefined;
  let contentType: string | undefined;
  let framing: string | undefined;
  for (let index = 0; index + 1 < head.rawHeaders.length; index += 2) {
    const value = head.rawHeaders[index + 1] ?? '';
    const name = head.rawHeaders[index]?.toLowerCase();
    switch (name) {
      case 'host':
        if (host !== undefined) throw new RequestError('invalid_host');
        host = value;
        break;
      case 'content-type':
        if (contentType !== undefined) throw new RequestError('malformed_http', 'Send one Content-Type.');
        contentType = value;
        break;
      case 'content-length':
      case 'transfer-encoding':
        // RFC 9112, 6.1 and 6.3: with both, or one twice, the next reader may see another end of the body.
        if (framing !== undefined) throw new RequestError('malformed_http', 'Give the length of the body once.');
        framing = name;
        if (name === 'transfer-encoding') checkTransferEncoding(value, head.httpVersion);
        break;
      case 'content-encoding':
        throw new RequestError('unsupported_encoding');
      case 'upgrade':
        throw new RequestError('upgrade_refused');
      case 'expect':
        if (value.toLowerCase() !== '100-continue') throw new RequestError('expectation_failed');
        break;
      case 'via':
        if (value.includes(rules.pseudonym)) throw new RequestError('loop_detected');
        break;
      case 'origin':
        if (!rules.allowedOrigins.includes(value)) throw new RequestError('forbidden_origin');
        break;
    }
  }
  checkHost(host, rules.hosts);
  if (contentType !== undefined) checkCharset(contentType);
}

/**
 * For a route that takes no body: one that came all the same would reach no policy.
 *
 * @throws RequestError `body_not_allowed`
 */
export function checkNoBody(head: Head): void {
  for (let index = 0; index + 1 < head.rawHeaders.length; index += 2) {
    const name = head.rawHeaders[index]?.toLowerCase();
    const announced =
      name === 'transfer-encoding' || (name === 'content-length' && Number(head.rawHeaders[index + 1]) !== 0);
    if (announced) throw new RequestError('body_not_allowed');
  }
}

/** RFC 9112, 6.1: only chunked is understood here, and HTTP/1.0 has no transfer codings. */
function checkTransferEncoding(value: string, httpVersion: string): void {
  if (httpVersion === '1.0' || value.toLowerCase() !== 'chunked') {
    throw new RequestError('malformed_http', 'The only Transfer-Encoding is chunked, in HTTP/1.1.');
  }
}

/** `host` or `host:port` of RFC 9110, 7.2, without user information. */
const hostPattern = /^(?:\[(?<ipv6>[0-9a-f:.]+)\]|(?<name>[a-z0-9._-]+))(?::\d{1,5})?$/i;

function checkHost(host: string | undefined, allowed: readonly string[] | undefined): void {
  const parts = hostPattern.exec(host ?? '')?.groups;
  if (parts === undefined) throw new RequestError('invalid_host');
  const ipv6 = parts['ipv6'];
  if (ipv6 !== undefined && !isIPv6(ipv6)) throw new RequestError('invalid_host');
  if (allowed === undefined || ipv6 !== undefined) return;
  const name = (parts['name'] ?? '').toLowerCase();
  if (isIPv4(name) || name === 'localhost') return;
  if (!allowed.some((one) => one.toLowerCase() === name)) throw new RequestError('forbidden_host');
}

/** The media type itself is no one's business: Ollama parses JSON whatever it is called. */
function checkCharset(contentType: string): void {
  // Nearly always there is no parameter at all.
  if (!contentType.includes(';')) return;
  for (const [, value = ''] of contentType.matchAll(/;\s*charset\s*=\s*"?([^";\s]*)/gi)) {
    if (!/^utf-?8$/i.test(value)) throw new RequestError('unsupported_charset');
  }
}
