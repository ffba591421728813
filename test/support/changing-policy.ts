/** Policies that tell which one they are, in a sidecar whose upstream answers everything. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { adminToken, callAdmin } from './admin.ts';
import { startAnsweringUpstream } from './answering-upstream.ts';
import { startTestSidecar, type TestSidecar, type TestSidecarOptions } from './in-process.ts';

/** @param number stands in the event of each request that it decides */
export function numberedPolicy(number: number): Record<string, string> {
  return {
    'authz.rego': `package ollama.authz\ndefault allow := false\nallow if input.model == "tiny"\ndynamic_metadata := {"policy": ${number}}\n`,
  };
}

export async function startChanging(t: TestContext, options: Partial<TestSidecarOptions> = {}): Promise<TestSidecar> {
  const upstream = await startAnsweringUpstream(t);
  const sidecar = await startTestSidecar({
    upstream,
    ...(options.allOf === undefined && { policy: numberedPolicy(0) }),
    adminTokens: { oncall: adminToken },
    ...options,
  });
  t.after(() => sidecar.close());
  return sidecar;
}

/** Asks as this caller; anonymous where there is none. @returns the number of the policy that decided */
export async function whoDecides(sidecar: TestSidecar, subject?: string): Promise<unknown> {
  const before = sidecar.events.length;
  const response = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: subject === undefined ? {} : { authorization: `Bearer ${sidecar.token({ subject })}` },
    body: '{"model":"tiny","stream":false,"messages":[]}',
  });
  await response.arrayBuffer();
  assert.equal(response.status, 200);
  const events = await sidecar.waitForEvents(before + 1);
  return events.at(-1)?.dynamic_metadata?.['policy'];
}

/** Writes a policy and has it taken up. @returns what the reload answered */
export async function reload(
  sidecar: TestSidecar,
  files: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, unknown>>> {
  sidecar.writePolicy(files);
  return (await callAdmin(sidecar, '/v1/policies/policy/reload', { method: 'POST' })).body;
}
