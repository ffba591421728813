/**
 * The upload of a blob: too large to be held, so it is passed on unread while its digest is made. The policy has decided on
 * the head alone; what the digest in the path names is all that may arrive.
 */
import { createHash } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';

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
   * Passes the body on, at the upstream's pace. The last bytes wait until the digest is known to be right: one that is not
   * destroys the upstream's connection before the end of the body, so that nothing whole ever arrives there.
   *
   * @param onSent all of it has left
   */
  pipe(outgoing: ClientRequest, onSent: () => void): void;
}

/**
 * @param digest `sha256:` and 64 digits, as the path has it
 * @throws RequestError `body_too_large` where that is announced. Later `outgoing` is destroyed with a RequestError
 *   `digest_mismatch`, `body_too_large`, `request_timeout`, `upstream_timeout`, `client_closed_request`
 */
export function receiveUpload(request: IncomingMessage, digest: string, limits: UploadLimits): Upload {
  const announced = request.headers['content-length'];
  // Of both a length and chunks only the latter would count; such a head was refused.
  const length = announced === undefined ? undefined : Number(announced);
  const isTooLarge = (bytes: number): boolean => bytes > limits.maxBytes;
  if (length !== undefined && isTooLarge(length)) throw tooLarge();

  return {
    length,
    pipe(outgoing, onSent) {
      const hash = createHash('sha256');
      let bytes = 0;
      let held: Buffer | undefined;
      let waiting = false;
      let timer: NodeJS.Timeout | undefined;
      if (limits.idleMs > 0) {
        const code = (): 'upstream_timeout' | 'request_timeout' => (waiting ? 'upstream_timeout' : 'request_timeout');
        timer = setTimeout(() => fail(new RequestError(code())), limits.idleMs).unref();
      }

      function stop(): void {
        clearTimeout(timer);
        request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
        outgoing.off('drain', onDrain).off('close', stop);
        request.pause();
      }
      function fail(error: RequestError): void {
        stop();
        outgoing.destroy(error);
      }
      function onData(chunk: Buffer): void {
        timer?.refresh();
        bytes += chunk.length;
        if (isTooLarge(bytes)) {
          fail(tooLarge());
          return;
        }
        hash.update(chunk);
        if (held !== undefined && !outgoing.write(held)) {
          waiting = true;
          request.pause();
        }
        held = chunk;
      }
      function onDrain(): void {
        waiting = false;
        timer?.refresh();
        request.resume();
      }
      function onEnd(): void {
        if (`sha256:${hash.digest('hex')}` === digest) {
          stop();
          outgoing.once('finish', onSent).end(held);
        } else fail(new RequestError('digest_mismatch'));
      }
      function onGone(): void {
        fail(new RequestError('client_closed_request'));
      }

      if (request.destroyed) {
        onGone();
        return;
      }
      request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
      // Ollama may answer before it has all, where it has the blob already: the rest is then nobody's.
      outgoing.on('drain', onDrain).on('close', stop);
    },
  };
}

function tooLarge(): RequestError {
  return new RequestError('body_too_large', 'The blob is larger than limits.blob.');
}
