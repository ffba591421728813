import type { IncomingMessage } from 'node:http';

import { RequestError } from '../../errors.ts';
import { type BodyBudget, readBody } from '../../input/body.ts';
import { guardJson } from '../../input/guard/guard.ts';

export type Members = Readonly<Record<string, unknown>>;

const mostBytes = 4096;
const timeoutMs = 5000;

/**
 * The members of a body, which may be left out. A page can send text and forms to any address without being asked first,
 * JSON it can't: so nothing else is taken.
 *
 * @param allowed their names
 * @throws RequestError (rejects) `invalid_json` and the like, `invalid_member`, `body_too_large`, `request_timeout`
 */
export async function readMembers(
  request: IncomingMessage,
  allowed: readonly string[],
  budget: BodyBudget,
): Promise<Members> {
  const isAnnounced =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  if (!isAnnounced) return {};
  if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new RequestError('invalid_json', 'Send "Content-Type: application/json".');
  const body = await receive(request, budget);
  try {
    const { value } = guardJson(body.bytes, { kind: 'free' });
    const unknown = Object.keys(value).find((name) => !allowed.includes(name));
    if (unknown !== undefined) {
      const names = allowed.length === 0 ? 'none' : allowed.join(', ');
      throw new RequestError('invalid_member', `The body has a member that is not known here; there is ${names}.`);
    }
    return { ...value };
  } finally {
    body.release();
  }
}

async function receive(request: IncomingMessage, budget: BodyBudget) {
  try {
    return await readBody(request, { maxBytes: mostBytes, timeoutMs, budget });
  } catch (error) {
    if (!(error instanceof RequestError) || error.code !== 'body_too_large') throw error;
    throw new RequestError('body_too_large', `The body has more than ${mostBytes} bytes.`);
  }
}
