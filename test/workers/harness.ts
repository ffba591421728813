/** A sidecar of several processes, as `opallama serve` starts it, before a stand-in for Ollama that counts. */
import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { verifyLog } from '../../src/audit/file/verify.ts';
import { mintToken } from '../../src/cli/token.ts';
import { adminToken, callAdmin } from '../support/admin.ts';
import { portOf } from '../support/port-of.ts';
import { type Running, run } from '../support/running.ts';

const command = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));
const secret = 'workers-'.repeat(5);
const key = {
  algorithm: 'HS256' as const,
  key: createSecretKey(Buffer.from(secret)),
  kid: undefined,
  issuer: 'test',
  audience: 'opallama',
  claims: {},
  clockToleranceS: 0,
};

export interface Upstream {
  readonly url: string;
  requests(): number;
  /** Holds answers back from now on. @returns lets them go */
  hold(): () => void;
}

const answer = '{"done":true,"prompt_eval_count":1,"eval_count":1}';

export async function startUpstream(t: TestContext): Promise<Upstream> {
  let requests = 0;
  let held: ServerResponse[] | undefined;
  const send = (response: ServerResponse): void =>
    void response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
  const server = createServer((incoming, response) => {
    if (incoming.method === 'POST') requests += 1;
    incoming.resume();
    incoming.on('end', () => (held === undefined ? send(response) : held.push(response)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = portOf(server);
  return {
    url: `http://127.0.0.1:${port}`,
    requests: () => requests,
    hold() {
      const mine: ServerResponse[] = [];
      held = mine;
      return () => {
        held = undefined;
        for (const response of mine) send(response);
      };
    },
  };
}

/** Says of each request which policy decided it. */
export function numberedPolicy(number: number): string {
  return `package ollama.authz\ndefault allow := false\nallow if input.model == "tiny"\nresponse_headers_to_add := {"x-policy": "${number}"}\n`;
}

export interface Asked {
  readonly status: number;
  readonly policy: string | undefined;
  readonly id: string | undefined;
}

export interface WorkerFacts {
  readonly worker: number;
  readonly pid: number;
  readonly serving: boolean;
  readonly in_flight: number;
}

export interface WorkersSidecar {
  readonly running: Running;
  /** The directory that the configuration is in. */
  readonly home: string;
  readonly upstream: Upstream;
  readonly url: string;
  readonly opsUrl: string;
  readonly adminUrl: string;
  readonly auditFile: string;
  token(subject: string): string;
  /** Sends a chat on a connection of an agent's, as this caller. Rejects where the connection is cut. */
  chat(options?: { readonly agent?: Agent; readonly subject?: string; readonly model?: string }): Promise<Asked>;
  writePolicy(text: string): void;
  metric(pattern: RegExp): Promise<number>;
  workers(): Promise<readonly WorkerFacts[]>;
  /** @returns audit lines of one kind, from the file */
  lines(event: string): readonly Readonly<Record<string, unknown>>[];
  /** What is wrong with the chain. */
  findings(): Promise<readonly unknown[]>;
  /** A POST. */
  admin(path: string, body?: object): Promise<Readonly<Record<string, unknown>>>;
}

export async function startWorkers(
  t: TestContext,
  options: {
    readonly workers?: number;
    readonly config?: object;
    readonly audit?: object;
    /** Beside the policy, below the directory that the configuration is in. */
    readonly files?: Readonly<Record<string, string>>;
    readonly command?: string;
  } = {},
): Promise<WorkersSidecar> {
  const home = mkdtempSync(join(tmpdir(), 'opallama-workers-'));
  t.after(() => rmSync(home, { recursive: true, maxRetries: 10, force: true }));
  const upstream = await startUpstream(t);
  const auditFile = join(home, 'audit.jsonl');
  const policyFile = join(home, 'policy', 'authz.rego');
  mkdirSync(join(home, 'policy'));
  writeFileSync(policyFile, numberedPolicy(0));
  for (const [name, text] of Object.entries(options.files ?? {})) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), text);
  }
  const config = {
    workers: options.workers ?? 2,
    listen: { data: '127.0.0.1:0', ops: '127.0.0.1:0', admin: '127.0.0.1:0' },
    upstream: { base_url: upstream.url },
    policy: { path: join(home, 'policy') },
    identity: { jwt: [{ algorithm: 'HS256', secret_env: 'TEST_SECRET', issuer: 'test', audience: 'opallama' }] },
    audit: { stdout: false, file: auditFile, ...options.audit },
    admin: { token_env: 'TEST_ADMIN' },
    shutdown: { delay: '0s', grace: '60s' },
    ...options.config,
  };
  // JSON is YAML.
  writeFileSync(join(home, 'opallama.yaml'), JSON.stringify(config));
  const running = run(
    process.execPath,
    [options.command ?? command, 'serve', '--config', join(home, 'opallama.yaml')],
    {
      cwd: home,
      env: { TEST_SECRET: secret, TEST_ADMIN: adminToken, OPALLAMA_SHUTDOWN__DELAY: undefined },
    },
  );
  t.after(async () => {
    running.process.kill('SIGKILL');
    if (running.process.exitCode === null && running.process.signalCode === null) await once(running.process, 'exit');
  });
  const urlOf = async (listener: string) => {
    const [, port] = await running.waitFor(new RegExp(`"listener":"${listener}".*?"port":(\\d+)`));
    return `http://127.0.0.1:${port}`;
  };
  const [url, adminUrl, opsUrl] = [await urlOf('data'), await urlOf('admin'), await urlOf('ops')];
  const token = (subject: string) => mintToken(key, { subject, roles: ['developer'], expiresInS: 600 });
  const tokens = new Map<string, string>();

  return {
    running,
    home,
    upstream,
    url,
    opsUrl,
    adminUrl,
    auditFile,
    token,
    chat({ agent, subject = 'alice', model = 'tiny' } = {}) {
      const authorization = tokens.get(subject) ?? `Bearer ${token(subject)}`;
      tokens.set(subject, authorization);
      const body = JSON.stringify({ model, stream: false, messages: [] });
      return new Promise((resolve, reject) => {
        const headers = { authorization, 'content-length': body.length };
        const sent = request(`${url}/api/chat`, { method: 'POST', agent: agent ?? false, headers, timeout: 20_000 });
        sent
          .on('error', reject)
          .on('timeout', () => sent.destroy(new Error('no answer within 20 s')))
          .on('response', (response) => {
            const { 'x-policy': policy, 'x-request-id': id } = response.headers;
            response.resume().on('error', reject);
            response.on('end', () =>
              resolve({ status: response.statusCode ?? 0, policy: policy?.toString(), id: id?.toString() }),
            );
          })
          .end(body);
      });
    },
    writePolicy: (text) => writeFileSync(policyFile, text),
    async metric(pattern) {
      const text = await (await fetch(`${opsUrl}/metrics`)).text();
      return [...text.matchAll(new RegExp(`^${pattern.source} (\\S+)$`, 'gm'))].reduce(
        (sum, [, value]) => sum + Number(value),
        0,
      );
    },
    async workers() {
      const { body } = await callAdmin({ adminUrl }, '/v1/status');
      return listWorkers(body);
    },
    lines: (event) =>
      readFileSync(auditFile, 'utf8')
        .split('\n')
        .filter((line) => line.includes(`"event":"${event}"`))
        .map((line) => JSON.parse(line)),
    async findings() {
      const question = { files: [auditFile], key: undefined, heads: undefined, allowOtherChains: false };
      return (await verifyLog(question)).findings;
    },
    admin: async (path, send = {}) => (await callAdmin({ adminUrl }, path, { send })).body,
  };
}

function listWorkers(status: Readonly<Record<string, unknown>>): readonly WorkerFacts[] {
  const { workers } = status;
  return Array.isArray(workers) ? workers : [];
}

/** Asks again and again on so many connections until it is told to stop. */
export function startLoad(
  sidecar: WorkersSidecar,
  { connections, subject }: { readonly connections: number; readonly subject?: (index: number) => string },
) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const asked: (Asked & { readonly number: number })[] = [];
  let begun = 0;
  let cut = 0;
  let stopped = false;
  const { process: serving } = sidecar.running;
  const clients = Array.from({ length: connections }, async (_, index) => {
    // A test that fails stops nothing but its sidecar.
    while (!stopped && serving.exitCode === null && serving.signalCode === null) {
      begun += 1;
      const number = begun;
      try {
        asked.push({ number, ...(await sidecar.chat({ agent, ...(subject && { subject: subject(index) }) })) });
      } catch {
        cut += 1;
        await sleep(10);
      }
    }
  });
  return {
    /** In the order in which they were answered. */
    asked,
    /** Answered requests that were begun behind so many. */
    askedBehind: (count: number) => asked.filter(({ number }) => number > count),
    begun: () => begun,
    cut: () => cut,
    async stop() {
      stopped = true;
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

/** Waits until it holds, at most 60 s. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(25)) if (await holds()) return;
  throw new Error(`not seen: ${what}`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One that has ended and whose new parent does not ask for it.
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}
