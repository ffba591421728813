/** Calls to the admin API of a sidecar of the test's own. */
import assert from 'node:assert/strict';

import type { TestSidecar } from './in-process.ts';

export const adminToken = 'test-token-of-oncall-0123456789';

export interface AdminAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface AdminCall {
  readonly method?: string;
  /** A body, as JSON. */
  readonly send?: unknown;
  /** Beside the token, or in its place. */
  readonly headers?: Readonly<Record<string, string>>;
}

export async function callAdmin(
  { adminUrl }: Pick<TestSidecar, 'adminUrl'>,
  path: string,
  { method, send, headers }: AdminCall = {},
): Promise<AdminAnswer> {
  const answer = await fetch(`${adminUrl}${path}`, {
    method: method ?? (send === undefined ? 'GET' : 'POST'),
    headers: {
      authorization: `Bearer ${adminToken}`,
      ...(send !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(send !== undefined && { body: JSON.stringify(send) }),
  });
  const body: unknown = await answer.json();
  assert.ok(typeof body === 'object' && body !== null);
  return { status: answer.status, headers: answer.headers, body: { ...body } };
}

/** @returns the code of an answer that is an error */
export function codeOf({ body }: Pick<AdminAnswer, 'body'>): unknown {
  const { error } = body;
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
