/** A sidecar that a control plane manages, for the tests of this folder. */
import type { TestContext } from 'node:test';

import type { DecisionLogConfig, ManagementConfig, ServiceConfig } from '../../src/configured/management.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { startTestSidecar, type TestSidecar, type TestSidecarOptions } from '../support/in-process.ts';
import { policyConfig } from '../support/policy-config.ts';

export { policyConfig };

export function serviceAt(url: string, over: Partial<ServiceConfig> = {}): ServiceConfig {
  return {
    name: 'control',
    url: new URL(url),
    token: 'let-me-in',
    tokenSource: undefined,
    tls: undefined,
    allowHttp: false,
    timeout: 20_000,
    ...over,
  };
}

export function logsTo(service: ServiceConfig, over: Partial<DecisionLogConfig> = {}): DecisionLogConfig {
  return {
    service,
    resource: '/logs',
    uploadSize: 32 * 1024,
    bufferEvents: 10_000,
    minDelay: 20,
    maxDelay: 50,
    shutdown: 2000,
    ...over,
  };
}

export function managementOf(over: Partial<ManagementConfig>): ManagementConfig {
  return {
    labels: { region: 'test' },
    services: [],
    bundles: [],
    status: undefined,
    decisionLogs: undefined,
    discovery: undefined,
    ...over,
  };
}

/** Answers what the upstream can't: `/api/tags` of a caller that the policy does not let through is a decision too. */
export const policy = {
  'authz.rego': `package ollama.authz
default allow := false
allow if input.principal.id == "alice"
reasons contains {"code": "not_alice", "message": "Only alice."} if not allow
`,
};

export interface Managed {
  readonly plane: ControlPlane;
  readonly sidecar: TestSidecar;
}

export async function startManaged(
  t: TestContext,
  makeManagement: (service: ServiceConfig) => Partial<ManagementConfig>,
  options: Partial<TestSidecarOptions> = {},
): Promise<Managed> {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    policy,
    ...options,
    management: managementOf(makeManagement(serviceAt(plane.url))),
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= sidecar.close();
    return closing;
  };
  t.after(close);
  return { plane, sidecar: { ...sidecar, close } };
}

/** A decision for bob, who is denied. @returns its id */
export async function decide(sidecar: TestSidecar, body: unknown = { model: 'tiny', messages: [] }): Promise<string> {
  const response = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token({ subject: 'bob' })}` },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.headers.get('x-opallama-decision-id') ?? '';
}
