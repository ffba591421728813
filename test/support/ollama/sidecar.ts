/** Starts the sidecar as a person would: a process of its own, with a config file and a policy in a directory. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import jwt from 'jsonwebtoken';
import type { AuditEvent } from '../../../src/types.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const secret = 'a secret of the tests, 32 bytes or more';
const issuer = 'https://id.test';
const audience = 'opallama';

/** Lets role "tester" do everything, but never with the model "forbidden". */
export const testerPolicy = `package ollama.authz

default allow := false

allow if "tester" in input.principal.roles

deny contains {"code": "model_forbidden", "message": "nobody may ask for this model"} if input.model == "forbidden"
`;

export interface Sidecar {
  /** Of the data listener: `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly opsUrl: string;
  readonly pid: number;
  /** A bearer token of role "tester". */
  readonly token: string;
  /** The audit events so far, in order. */
  readonly audit: readonly AuditEvent[];
  /** The log so far, JSON lines. */
  log(): string;
  /** Waits for the event of a request (`x-request-id`). Rejects after 5 s. */
  auditOf(requestId: string): Promise<AuditEvent>;
  /** Waits until so many events match and gives the last of them. Rejects after 5 s. */
  auditWhere(match: (event: AuditEvent) => boolean, count?: number): Promise<AuditEvent>;
  stop(): Promise<void>;
}

export interface SidecarOptions {
  readonly upstream: string;
  /** Rego of `ollama.authz`; `testerPolicy` unless told. */
  readonly policy?: string;
  /** Let callers in who send no credential, with role "tester". */
  readonly anonymous?: boolean;
  /** Members of the section `identity` to add, beside the key that tokens are signed with. */
  readonly identity?: Readonly<Record<string, unknown>>;
  /** Members of the config file to add or replace, at the top. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export function signToken(claims: Readonly<Record<string, unknown>> = { roles: ['tester'] }): string {
  return jwt.sign({ sub: 'somebody', ...claims }, secret, { algorithm: 'HS256', issuer, audience, expiresIn: '10m' });
}

/** @returns once both listeners answer */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const home = await mkdtemp(join(tmpdir(), 'opallama-sidecar-'));
  await mkdir(join(home, 'policies', 'ollama'), { recursive: true });
  await writeFile(join(home, 'policies', 'ollama', 'authz.rego'), options.policy ?? testerPolicy);
  const config = {
    listen: { data: '127.0.0.1:0', ops: '127.0.0.1:0' },
    upstream: { base_url: options.upstream },
    policy: { path: join(home, 'policies') },
    identity: {
      jwt: [{ algorithm: 'HS256', secret_env: 'TEST_SECRET', issuer, audience }],
      ...(options.anonymous === true && { anonymous: { roles: ['tester'] } }),
      ...options.identity,
    },
    ...options.config,
  };
  // JSON is YAML.
  await writeFile(join(home, 'opallama.yaml'), JSON.stringify(config, undefined, 2));

  const child = spawn(
    process.execPath,
    [join(root, 'bin', 'opallama.js'), 'serve', '--config', join(home, 'opallama.yaml')],
    {
      cwd: home,
      env: { PATH: process.env['PATH'] ?? '', HOME: home, TEST_SECRET: secret, OPALLAMA_SHUTDOWN__DELAY: '0s' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const audit: AuditEvent[] = [];
  let log = '';
  let unfinished = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (unfinished + chunk.toString()).split('\n');
    unfinished = lines.pop() ?? '';
    for (const line of lines) audit.push(readAudit(line));
  });
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await Promise.race([gone, sleep(20_000, undefined, { ref: false })]);
    child.kill('SIGKILL');
    await gone;
    await rm(home, { recursive: true, maxRetries: 10, force: true });
  };
  try {
    const ports = await waitFor('listening', () => {
      if (child.exitCode !== null) throw new Error(`the sidecar ended with code ${child.exitCode}:\n${log}`);
      const found = listeningPorts(log);
      return found.data !== undefined && found.ops !== undefined ? { data: found.data, ops: found.ops } : undefined;
    });
    return {
      url: `http://127.0.0.1:${ports.data}`,
      port: ports.data,
      opsUrl: `http://127.0.0.1:${ports.ops}`,
      pid: child.pid ?? 0,
      token: signToken(),
      audit,
      log: () => log,
      auditWhere: (match, count = 1) => waitFor(`${count}. matching audit event`, () => audit.filter(match)[count - 1]),
      auditOf: (id) => waitFor(`audit event of request "${id}"`, () => audit.find((event) => event.request_id === id)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error instanceof Error ? new Error(`${error.message}\n${log}`) : error;
  }
}

/** Every line on stdout must be an audit event: pipes into other tools rely on it. */
function readAudit(line: string): AuditEvent {
  const event: AuditEvent & { readonly event?: unknown } = JSON.parse(line);
  if (event.event !== 'audit') throw new Error(`not an audit event on stdout: ${line}`);
  return event;
}

function listeningPorts(log: string): { readonly data?: number; readonly ops?: number } {
  const ports: Record<string, number> = {};
  for (const line of log.split('\n')) {
    if (!line.includes('"listening"')) continue;
    const entry: { msg?: string; listener?: string; port?: number } = JSON.parse(line);
    if (entry.msg === 'listening' && entry.listener !== undefined && entry.port !== undefined)
      ports[entry.listener] = entry.port;
  }
  return ports;
}

/** Looks every 2 ms. Rejects after `timeoutMs`; 60 s leave time for a start with a policy to compile. */
async function waitFor<T>(what: string, look: () => T | undefined, timeoutMs = 60_000): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > until) throw new Error(`no ${what} within ${timeoutMs} ms`);
    await sleep(2);
  }
}
