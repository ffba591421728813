/**
 * The upload of a blob: too large to be held, so it is passed on unread while its digest is made. The policy has decided on
 * the head alone; what the digest in the path names is all that may arrive.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { RequestError } from '../errors.ts';

export interface UploadLimits {
  /** Bytes (`limits.blob`). */
  readonly maxBytes: number;
  /** Longest pause on either side, milliseconds (`timeouts.idle`); 0: no limit. */
  readonly idleMs: number;
}

export interface Upload {
  /** Bytes as announced; undefined: chunked. */
  readonly length: number | undefined;
  /**
   * The body, at the pace at which it is taken. The last bytes wait until the digest is known to be right: one that is not
   * ends it before, so that nothing whole ever arrives.
   *
   * @param fail told why not all of it comes: a RequestError `digest_mismatch`, `body_too_large`, `request_timeout`,
   *   `upstream_timeout`, `client_closed_request`. It has to end whatever reads the rest.
   */
  read(fail: (error: RequestError) => void): AsyncIterable<Buffer>;
}

/**
 * @param digest `sha256:` and 64 digits, as the path has it
 * @throws RequestError `body_too_large` where that is announced
 */
export function receiveUpload(request: IncomingMessage, digest: string, limits: UploadLimits): Upload {
  const announced = request.headers['content-length'];
  // Of both a length and chunks only the latter would count; such a head was refused.
  const length = announced === undefined ? undefined : Number(announced);
  const isTooLarge = (bytes: number): boolean => bytes > limits.maxBytes;
  if (length !== undefined && isTooLarge(length)) throw tooLarge();

  return {
    length,
    async *read(fail) {
      const hash = createHash('sha256');
      let bytes = 0;
      let held: Buffer | undefined;
      let waitsFor: 'request_timeout' | 'upstream_timeout' = 'request_timeout';
      const timer =
        limits.idleMs > 0 ? setTimeout(() => fail(new RequestError(waitsFor)), limits.idleMs).unref() : undefined;
      const onGone = (): void => {
        if (!request.complete) fail(new RequestError('client_closed_request'));
      };
      request.once('close', onGone);
      try {
        // The rest of a request that failed is still read, for as long as it takes to answer (src/http/linger.ts).
        for await (const chunk of readChunks(request)) {
          bytes += chunk.length;
          if (isTooLarge(bytes)) throw tooLarge();
          hash.update(chunk);
          if (held !== undefined) {
            waitsFor = 'upstream_timeout';
            timer?.refresh();
            yield held;
            waitsFor = 'request_timeout';
          }
          timer?.refresh();
          held = chunk;
        }
        if (`sha256:${hash.digest('hex')}` !== digest) throw new RequestError('digest_mismatch');
        if (held !== undefined) yield held;
      } catch (error) {
        const failure = error instanceof RequestError ? error : new RequestError('client_closed_request');
        fail(failure);
        throw failure;
      } finally {
        clearTimeout(timer);
        request.off('close', onGone);
      }
    },
  };
}

/** Without the end of the stream where its reader leaves. */
function readChunks(request: IncomingMessage): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) };
}

function tooLarge(): RequestError {
  return new RequestError('body_too_large', 'The blob is larger than limits.blob.');
}
