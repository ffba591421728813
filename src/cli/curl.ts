/**
 * Words of a `curl` command to the request that curl would send. What only concerns curl's own output or connection is
 * passed over; what would change the request in a way that is not known here is refused.
 */

import { CallError } from '../errors.ts';
import type { RawRequest } from '../rehearsal.ts';

/** What the words say, in their order. */
export interface CurlWords {
  readonly target: string | undefined;
  readonly method: string | undefined;
  /** `Name: value`, `Name:` (leave it out), `Name;` (send it empty), or `@file`. */
  readonly headers: readonly string[];
  readonly data: readonly CurlData[];
}

export interface CurlData {
  /** `text`: `-d`, where a file loses its line breaks; `raw`: `@` means nothing; `binary`: a file as it is; `json`; `file`: `-T`. */
  readonly kind: 'text' | 'raw' | 'binary' | 'json' | 'file';
  readonly value: string;
}

/** @returns the bytes of a file, `-` being standard input */
export type ReadBytes = (path: string) => Uint8Array;

const dataFlags: ReadonlyMap<string, CurlData['kind']> = new Map([
  ['-d', 'text'],
  ['--data', 'text'],
  ['--data-ascii', 'text'],
  ['--data-raw', 'raw'],
  ['--data-binary', 'binary'],
  ['--json', 'json'],
  ['-T', 'file'],
  ['--upload-file', 'file'],
]);

/** Without an argument, of no meaning here. */
const silentFlags = new Set([
  ...['-N', '--no-buffer', '-s', '--silent', '-S', '--show-error', '-v', '--verbose', '-i', '--include', '-k'],
  ...['--insecure', '-f', '--fail', '--fail-with-body', '-L', '--location', '-g', '--globoff', '-#', '--progress-bar'],
  ...['-4', '--ipv4', '-6', '--ipv6', '--http1.1', '-O', '--remote-name', '--no-progress-meter', '--path-as-is'],
  ...['-q', '--disable', '--no-keepalive', '--tcp-nodelay', '--styled-output'],
]);

/** With an argument, of no meaning here. */
const silentPairs = new Set([
  ...['-o', '--output', '-w', '--write-out', '-m', '--max-time', '--connect-timeout', '--cacert', '--capath', '-D'],
  ...['--dump-header', '--resolve', '--connect-to', '--unix-socket', '--retry', '--retry-delay', '--limit-rate'],
  ...['--stderr', '--trace', '--trace-ascii', '--interface', '--keepalive-time', '-E', '--cert', '--key', '--tlsv1.2'],
]);

/** @throws CallError for a word that is not understood */
export function readCurlWords(words: readonly string[]): CurlWords {
  let target: string | undefined;
  let method: string | undefined;
  const headers: string[] = [];
  const data: CurlData[] = [];
  const queue = words.flatMap(splitShort);
  const next = (flag: string): string => {
    const value = queue.shift();
    if (value === undefined) throw new CallError(`${flag} needs a value behind it.`);
    return value;
  };
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    const kind = dataFlags.get(word);
    if (kind !== undefined) data.push({ kind, value: next(word) });
    else if (word === '-X' || word === '--request') method = next(word);
    else if (word === '-H' || word === '--header') headers.push(next(word));
    else if (word === '-A' || word === '--user-agent') headers.push(`User-Agent: ${next(word)}`);
    else if (word === '-b' || word === '--cookie') headers.push(`Cookie: ${next(word)}`);
    else if (word === '-e' || word === '--referer') headers.push(`Referer: ${next(word)}`);
    else if (word === '-u' || word === '--user') headers.push(basic(next(word)));
    else if (word === '--oauth2-bearer') headers.push(`Authorization: Bearer ${next(word)}`);
    else if (word === '--compressed') headers.push('Accept-Encoding: deflate, gzip');
    else if (word === '-I' || word === '--head') method ??= 'HEAD';
    else if (word === '--url') target = next(word);
    else if (silentPairs.has(word)) next(word);
    else if (silentFlags.has(word)) continue;
    else if (word.startsWith('-') && word !== '-') {
      throw new CallError(`${word} of curl is not understood here. Leave it out if it does not change the request.`);
    } else if (target === undefined) target = word;
    else throw new CallError(`One request at a time: ${target} and ${word} were given.`);
  }
  return { target, method, headers, data };
}

/** `-sSN` is three flags, `-XPOST` one and its value. */
function splitShort(word: string): string[] {
  if (!/^-[^-]./.test(word)) return [word];
  const flag = word.slice(0, 2);
  if (silentFlags.has(flag) || flag === '-I') return [flag, ...splitShort(`-${word.slice(2)}`)];
  return [flag, word.slice(2)];
}

function basic(user: string): string {
  return `Authorization: Basic ${Buffer.from(user).toString('base64')}`;
}

/**
 * The request with the headers that curl adds: Host, User-Agent, Accept, and type and length of a body.
 *
 * @throws CallError
 */
export function buildCurlRequest(words: CurlWords, read: ReadBytes): RawRequest {
  if (words.target === undefined) throw new CallError('Say what is asked: a path such as /api/chat, or a URL.');
  const url = /^https?:\/\/(?:(?<user>[^/?#@]*)@)?(?<host>[^/?#]+)(?<target>[^#]*)/i.exec(words.target)?.groups;
  if (url === undefined && !words.target.startsWith('/'))
    throw new CallError(`${words.target} is neither a path, such as /api/chat, nor a URL.`);
  const target = url === undefined ? words.target : (url['target'] ?? '');
  const { body, isJson, isUpload } = joinData(words.data, read);
  const headers = new Map<string, [string, string][]>();
  const add = (name: string, value: string): void => {
    headers.set(name.toLowerCase(), [[name, value]]);
  };
  add('Host', url?.['host'] ?? 'localhost');
  if (url?.['user'] !== undefined) add('Authorization', basic(decodeURIComponent(url['user'])).slice(15));
  add('User-Agent', 'curl/8.0');
  add('Accept', isJson ? 'application/json' : '*/*');
  if (body !== undefined) {
    if (!isUpload) add('Content-Type', isJson ? 'application/json' : 'application/x-www-form-urlencoded');
    add('Content-Length', String(body.length));
  }
  const own = new Set<string>();
  for (const line of words.headers.flatMap((header) => readHeaderFile(header, read))) {
    const [, name = '', mark, value = ''] = /^([^:;]+)([:;])(.*)$/s.exec(line) ?? [];
    if (name === '' || /[\r\n]/.test(line))
      throw new CallError(`A header is written "Name: value", and ${JSON.stringify(line)} is none.`);
    const key = name.trim().toLowerCase();
    const kept = own.has(key) ? (headers.get(key) ?? []) : [];
    own.add(key);
    if (mark === ':' && value.trim() === '') headers.delete(key);
    else headers.set(key, [...kept, [name.trim(), value.trim()]]);
  }
  return {
    method: words.method ?? (isUpload ? 'PUT' : body === undefined ? 'GET' : 'POST'),
    target: target === '' ? '/' : target.startsWith('?') ? `/${target}` : target,
    headers: [...headers.values()].flat(),
    body: body ?? new Uint8Array(),
  };
}

function readHeaderFile(header: string, read: ReadBytes): string[] {
  if (!header.startsWith('@')) return [header];
  return Buffer.from(read(header.slice(1)))
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line) => line !== '');
}

/** Several `-d` are joined by `&`, several `--json` by nothing, as curl does. */
function joinData(
  data: readonly CurlData[],
  read: ReadBytes,
): { readonly body: Buffer | undefined; readonly isJson: boolean; readonly isUpload: boolean } {
  const isJson = data.some(({ kind }) => kind === 'json');
  const isUpload = data.some(({ kind }) => kind === 'file');
  const parts = data.map((each) => readData(each, read));
  const separator = Buffer.from(isJson || isUpload ? '' : '&');
  const body = parts.flatMap((part, index) => (index === 0 ? [part] : [separator, part]));
  return { body: data.length === 0 ? undefined : Buffer.concat(body), isJson, isUpload };
}

function readData({ kind, value }: CurlData, read: ReadBytes): Buffer {
  if (kind === 'file') return Buffer.from(read(value));
  if (kind === 'raw' || !value.startsWith('@')) return Buffer.from(value);
  const bytes = Buffer.from(read(value.slice(1)));
  return kind === 'text' ? Buffer.from(bytes.filter((byte) => byte !== 0x0a && byte !== 0x0d && byte !== 0)) : bytes;
}
