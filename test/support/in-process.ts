/** The sidecar inside the test's own process: real sockets on free ports, audit events gathered in a list. */
import { createHash, createSecretKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type App, type AppOptions, startApp } from '../../src/app.ts';
import type { RecordObserver } from '../../src/audit/record.ts';
import { mintToken, type TokenClaims } from '../../src/cli/token.ts';
import type { AdminScope, Config } from '../../src/configured/config.ts';
import type { JwtConfig } from '../../src/configured/identity.ts';
import type { ShadowConfig } from '../../src/configured/policy.ts';
import { createLogger, type Logger } from '../../src/telemetry/log.ts';
import type { AdminEvent, AuditEvent, ShadowEvent } from '../../src/types.ts';
import { policyConfig } from './policy-config.ts';

export const shippedPolicy = fileURLToPath(new URL('../../policies/', import.meta.url));

const key: JwtConfig = {
  algorithm: 'HS256',
  key: createSecretKey(Buffer.alloc(32, 7)),
  kid: undefined,
  issuer: 'test',
  audience: 'opallama',
  claims: {},
  clockToleranceS: 0,
};

export interface TestSidecar {
  readonly app: App;
  readonly port: number;
  readonly url: string;
  readonly opsUrl: string;
  /** Empty where no token is configured. */
  readonly adminUrl: string;
  /** Every event so far. */
  readonly events: readonly AuditEvent[];
  readonly shadowEvents: readonly ShadowEvent[];
  token(claims?: Partial<TokenClaims>): string;
  /** Waits until there are so many events, at most 30 s. */
  waitForEvents(count: number): Promise<readonly AuditEvent[]>;
  metrics(): Promise<string>;
  /** Of the test's own policy, the first one of several; empty where there is none. */
  readonly policyPath: string;
  /** Writes files of the test's own policy, the first one of several. */
  writePolicy(files: Readonly<Record<string, string>>): void;
  writeShadow(files: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}

export interface TestSidecarOptions {
  readonly upstream: string;
  /** Files of a policy of the test's own; the shipped one by default. */
  readonly policy?: Readonly<Record<string, string>>;
  /** Several policies of the test's own, by name, of which each must allow. */
  readonly allOf?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Files of a shadow, and what it is told. */
  readonly shadow?: { readonly files: Readonly<Record<string, string>>; readonly config?: Partial<ShadowConfig> };
  readonly entrypoint?: string;
  /** Another engine, and what it is told. */
  readonly policyConfig?: Partial<Config['policies'][number]>;
  /** Origins of web pages that may call; none by default. */
  readonly origins?: readonly string[];
  readonly issuers?: Config['identity']['issuers'];
  readonly removedKeyGrace?: number;
  readonly ollamaKeys?: Config['identity']['ollamaKeys'];
  readonly clientCertificates?: Config['identity']['clientCertificates'];
  readonly kubernetes?: Config['identity']['kubernetes'];
  readonly tokenEndpoint?: Config['identity']['tokenEndpoint'];
  readonly anonymousRoles?: readonly string[];
  readonly timeouts?: Partial<Config['timeouts']>;
  readonly limits?: Partial<Config['limits']>;
  /** Is told of each request that has ended. */
  readonly observe?: RecordObserver;
  readonly tls?: Config['listen']['tls'];
  /** Tokens of the admin listener by name; none by default, and then there is no such listener. */
  readonly adminTokens?: Readonly<Record<string, string>>;
  /** Past decisions that can be explained; 100 by default. */
  readonly keepDecisions?: number;
  /** Is told of what operators change. */
  readonly onAdmin?: (event: AdminEvent) => void;
  /** Is told of each request before it is handed to the upstream. */
  readonly admit?: AppOptions['admit'];
  /** That the admin API is asked about; the test writes it. */
  readonly auditFile?: Config['audit']['file'];
  /** Where the log goes; nowhere by default. */
  readonly log?: Logger;
  readonly upstreamTls?: Config['upstream']['tls'];
  readonly upstreamConfig?: Partial<Config['upstream']>;
  readonly shutdown?: Partial<Config['shutdown']>;
  /** Of every admin token; `all` by default. */
  readonly adminScope?: AdminScope;
  readonly management?: Config['management'];
}

export async function startTestSidecar(options: TestSidecarOptions): Promise<TestSidecar> {
  const events: AuditEvent[] = [];
  const shadowEvents: ShadowEvent[] = [];
  const shadowPath = options.shadow && makePolicy(options.shadow.files);
  const directories = Object.entries(options.allOf ?? (options.policy ? { policy: options.policy } : {})).map(
    ([name, files]) => ({ name, path: makePolicy(files) }),
  );
  const free = { host: '127.0.0.1', port: 0 };
  const config: Config = {
    listen: { data: free, ops: free, admin: free, hosts: [], tls: options.tls },
    upstream: {
      baseUrl: new URL(options.upstream),
      tls: options.upstreamTls,
      readiness: 'ignored',
      checkEvery: 100,
      ...options.upstreamConfig,
    },
    cors: { origins: options.origins ?? [] },
    prefixes: ['/api/v1/ollama', '/ollama'],
    policies: (directories.length > 0 ? directories : [{ name: 'policy', path: shippedPolicy }]).map((named) =>
      policyConfig({ ...named, entrypoint: options.entrypoint ?? 'ollama/authz', ...options.policyConfig }),
    ),
    ...(shadowPath !== undefined && {
      shadow: {
        ...policyConfig({ name: 'shadow', path: shadowPath, isolation: 'worker', workers: 1 }),
        sample: 1,
        ...options.shadow?.config,
      },
    }),
    identity: {
      jwt: [key],
      issuers: options.issuers ?? [],
      removedKeyGrace: options.removedKeyGrace ?? 0,
      ollamaKeys: options.ollamaKeys ?? [],
      clientCertificates: options.clientCertificates ?? [],
      kubernetes: options.kubernetes,
      tokenEndpoint: options.tokenEndpoint,
      anonymous: options.anonymousRoles && { roles: options.anonymousRoles },
      acceptUnknownCredentials: false,
      rolePrecedence: [],
    },
    // Tests share a busy machine; those of a time set their own.
    timeouts: {
      connect: 30_000,
      firstByte: 30_000,
      idle: 30_000,
      total: 0,
      headers: 30_000,
      body: 30_000,
      ...options.timeouts,
    },
    limits: { body: 1 << 20, bodiesTotal: 4 << 20, blob: 8 << 20, headers: 16 << 10, inFlight: 100, ...options.limits },
    audit: { ...(options.auditFile && { file: options.auditFile }), stdout: false },
    admin: {
      keepDecisions: options.keepDecisions ?? 100,
      tokens: Object.entries(options.adminTokens ?? {}).map(([name, token]) => ({
        name,
        sha256: createHash('sha256').update(token).digest(),
        scope: options.adminScope ?? 'all',
        source: { member: 'token_env' as const, value: 'TEST' },
      })),
    },
    shutdown: { delay: 0, grace: 1000, ...options.shutdown },
    ...(options.management && { management: options.management }),
    log: { level: 'silent' },
  };
  const app = await startApp(config, {
    log: options.log ?? createLogger('silent'),
    ...(options.admit && { admit: options.admit }),
    ...(options.onAdmin && { onAdmin: options.onAdmin }),
    observers: [(event) => events.push(event), ...(options.observe ? [options.observe] : [])],
    onShadow: (event) => shadowEvents.push(event),
    searchPath: undefined,
  });
  const opsUrl = `http://127.0.0.1:${app.ops.port}`;
  return {
    app,
    port: app.data.port,
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${app.data.port}`,
    opsUrl,
    adminUrl: app.admin === undefined ? '' : `http://127.0.0.1:${app.admin.port}`,
    events,
    shadowEvents,
    token: (claims) => mintToken(key, { subject: 'alice', roles: ['developer'], expiresInS: 60, ...claims }),
    async waitForEvents(count) {
      const deadline = Date.now() + 30_000;
      while (events.length < count && Date.now() < deadline) await sleep(5);
      return events;
    },
    policyPath: directories[0]?.path ?? '',
    writePolicy: (files) => writeFiles(directories[0]?.path ?? '', files),
    writeShadow: (files) => writeFiles(shadowPath ?? '', files),
    metrics: async () => (await fetch(`${opsUrl}/metrics`)).text(),
    async close() {
      await app.close(100);
      for (const { path } of directories) rmSync(path, { recursive: true, maxRetries: 10 });
      if (shadowPath !== undefined) rmSync(shadowPath, { recursive: true, maxRetries: 10 });
    },
  };
}

function makePolicy(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-policy-'));
  writeFiles(directory, files);
  return directory;
}

function writeFiles(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}
