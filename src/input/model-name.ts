import { RequestError } from '../errors.ts';
import { inOnePiece } from '../one-piece.ts';
import type { ModelRef } from '../types.ts';

const defaultHost = 'registry.ollama.ai';
const defaultNamespace = 'library';
const defaultTag = 'latest';

/** Ollama 0.17.4, `types/model/name.go`, `isValidPart`; lengths are in bytes, which for these are characters. */
const validHost = /^[a-z0-9_][a-z0-9_.:-]{0,349}$/;
const validNamespace = /^[a-z0-9_][a-z0-9_-]{0,79}$/;
const validNameOrTag = /^[a-z0-9_][a-z0-9_.-]{0,79}$/;

/** Ollama takes anything before `://`, even nothing; here it must look like a scheme, or the raw name could hold any text. */
const validScheme = /^[a-z0-9+.-]{0,32}$/;

/** Longer than the longest name with all its parts. */
const maxLength = 700;

/** Stands for a part that a separator promises and that is not there; valid in no part. */
const missing = '!';

/**
 * Resolves a name as Ollama does (0.17.4, `types/model/name.go`, `ParseName`): split from the right, defaults for what is
 * not there, any scheme dropped. Names compare without case there, so every part but `raw` is in lower case here.
 *
 * Ollama answers 404 to a name that it can't resolve; here it is refused, because no policy could speak about it.
 *
 * @throws RequestError `missing_model` for an empty name, `invalid_model`
 */
export function resolveModelName(raw: string): ModelRef {
  const known = resolved.get(raw);
  if (known !== undefined) return known;
  const ref = Object.freeze(resolve(raw));
  if (resolved.size >= mostRemembered) resolved.clear();
  resolved.set(raw, ref);
  return ref;
}

/** A few names are asked for all the time. Emptied when full: whoever makes up names must not fill it for good. */
const resolved = new Map<string, ModelRef>();
const mostRemembered = 1000;

function resolve(raw: string): ModelRef {
  if (raw === '') throw new RequestError('missing_model');
  // Before lower case: the Kelvin sign would become a k, and Ollama knows no such name.
  if (raw.length > maxLength || !/^[!-~]+$/.test(raw)) throw new RequestError('invalid_model');

  let rest = raw.toLowerCase();
  let tag = defaultTag;
  // A colon behind the last slash begins a tag; one before it belongs to a port or a scheme.
  if (rest.lastIndexOf(':') > rest.lastIndexOf('/')) [rest, tag] = cutLast(rest, ':');

  let host = defaultHost;
  let namespace = defaultNamespace;
  let name = rest;
  if (rest.includes('/')) {
    [rest, name] = cutLast(rest, '/');
    namespace = rest;
    if (rest.includes('/')) {
      [rest, namespace] = cutLast(rest, '/');
      host = dropScheme(rest) || defaultHost;
    }
  }

  const valid =
    validHost.test(host) && validNamespace.test(namespace) && validNameOrTag.test(name) && validNameOrTag.test(tag);
  if (!valid) throw new RequestError('invalid_model');
  return {
    raw: inOnePiece(raw),
    full: inOnePiece(`${host}/${namespace}/${name}:${tag}`),
    host: inOnePiece(host),
    namespace: inOnePiece(namespace),
    name: inOnePiece(name),
    tag: inOnePiece(tag),
    source: sourceOf(name, tag),
  };
}

/** The shortest name of the same model: default host, namespace and tag dropped, lower case. */
export function shortName(ref: ModelRef): string {
  const tag = ref.tag === defaultTag ? '' : `:${ref.tag}`;
  if (ref.host !== defaultHost) return `${ref.host}/${ref.namespace}/${ref.name}${tag}`;
  if (ref.namespace !== defaultNamespace) return `${ref.namespace}/${ref.name}${tag}`;
  return `${ref.name}${tag}`;
}

function cutLast(text: string, separator: string): [before: string, after: string] {
  const at = text.lastIndexOf(separator);
  return [text.slice(0, at) || missing, text.slice(at + 1) || missing];
}

function dropScheme(text: string): string {
  const at = text.indexOf('://');
  if (at === -1) return text;
  return validScheme.test(text.slice(0, at)) ? text.slice(at + 3) : missing;
}

/**
 * Ollama's own programs take names that end in `:cloud` or `-cloud` for models that run elsewhere
 * (`middleware/anthropic.go`, `isCloudModelName`). Decided on the resolved name, so that `x-cloud` and `X-Cloud:latest`
 * don't differ. A local name can also forward elsewhere (`remote_host` in `/api/create`): only Ollama knows that.
 */
function sourceOf(name: string, tag: string): ModelRef['source'] {
  const cloud = tag === 'cloud' || tag.endsWith('-cloud') || (tag === defaultTag && name.endsWith('-cloud'));
  return cloud ? 'cloud' : 'local';
}
