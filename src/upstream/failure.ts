/** What went wrong on the way to the upstream, in the words of this project. */
import { type ErrorCode, RequestError } from '../errors.ts';

/** @param error of undici, of Node's sockets, or one of ours @param id of the upstream, for the message */
export function describeFailure(error: unknown, id: string): RequestError {
  // A body that could not be sent whole says why.
  if (error instanceof RequestError) return error;
  const ours = error instanceof Error ? classify(error) : 'upstream_unreachable';
  const message = ours === 'upstream_unreachable' ? `Cannot reach Ollama at ${id}. Is it running?` : undefined;
  return new RequestError(ours, message, { cause: error });
}

function classify(error: Error): ErrorCode {
  const { name, message } = error;
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'upstream_timeout';
  // What undici does not send as it is told.
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') return 'internal_error';
  // The connection was there, and ended; or it turned into something else than HTTP.
  if (code === 'UND_ERR_SOCKET') return message.startsWith('bad ') ? 'upstream_invalid' : 'upstream_reset';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'upstream_reset';
  if (isTlsCode(code)) return 'upstream_tls';
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || code === 'UND_ERR_HEADERS_OVERFLOW') return 'upstream_invalid';
  return name === 'HTTPParserError' ? 'upstream_invalid' : 'upstream_unreachable';
}

/**
 * Codes of Node's and OpenSSL's for a connection that cannot be secured: theirs of the protocol, and the names of
 * OpenSSL's verification results (`X509_V_ERR_...`), which have no prefix of their own.
 */
function isTlsCode(code: string): boolean {
  return (
    /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERROR_IN_)/.test(code) ||
    ['EPROTO', 'INVALID_CA', 'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED', 'HOSTNAME_MISMATCH'].includes(code)
  );
}
