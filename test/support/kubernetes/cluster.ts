/**
 * A real API server of Kubernetes on the loopback, with an etcd behind it. There are no nodes and no controllers: what runs
 * pods is not here, what accepts objects, issues tokens and publishes keys is.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as requestHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { issue, issueAuthority } from '../certificates.ts';
import { findFreePort } from '../free-port.ts';
import { prepareKubernetes } from './binaries.ts';

export interface Cluster {
  readonly url: URL;
  readonly issuer: string;
  /** File with the authority of the API server. */
  readonly caFile: string;
  /** File for kubectl, of an administrator. */
  readonly kubeconfig: string;
  /** A directory that goes with the cluster. */
  readonly directory: string;
  /** @returns what it answered; throws for another status than the two that say that something is there */
  ask(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
  /** A token as a kubelet asks for it, bound to a pod where one is named. */
  token(account: ServiceAccount, request: TokenRequest): Promise<string>;
  /** Makes the namespace and the service account; both may be there. */
  addServiceAccount(account: ServiceAccount): Promise<void>;
  /** Makes a pod, which nothing will run. @returns its uid */
  addPod(account: ServiceAccount, name: string): Promise<string>;
  stop(): Promise<void>;
}

export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

export interface TokenRequest {
  /** None: that of the API server. */
  readonly audience?: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  /** 600 at least. */
  readonly seconds?: number;
}

const readyWithinMs = 120_000;

export async function startCluster(): Promise<Cluster> {
  const commands = await prepareKubernetes();
  const directory = mkdtempSync(join(tmpdir(), 'opallama-cluster-'));
  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const authority = issueAuthority('authority of the tests');
  const server = issue({
    name: { CN: 'kube-apiserver' },
    issuer: authority,
    dns: ['kubernetes.default.svc', 'localhost'],
    ips: ['127.0.0.1'],
  });
  const caFile = write('ca.crt', authority.cert);
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const accountsKey = write('accounts.key', String(accounts.privateKey.export({ type: 'pkcs1', format: 'pem' })));
  const accountsPublic = write('accounts.pub', String(accounts.publicKey.export({ type: 'spki', format: 'pem' })));
  const admin = randomBytes(24).toString('hex');
  const issuer = 'https://kubernetes.default.svc.cluster.local';

  const running: ChildProcess[] = [];
  const start = (command: string, name: string, args: readonly string[]): ChildProcess => {
    const log = createWriteStream(join(directory, `${name}.log`));
    const child = spawn(command, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    running.push(child);
    return child;
  };
  const killAll = (): void => {
    for (const child of running) child.kill('SIGKILL');
  };
  // A test that fails must leave nothing behind.
  process.once('exit', killAll);

  const [clients, peers, secure] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const etcdUrl = `http://127.0.0.1:${clients}`;
  const peerUrl = `http://127.0.0.1:${peers}`;
  start(commands.etcd, 'etcd', [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--unsafe-no-fsync',
    '--logger=zap',
  ]);
  const apiServer = start(commands.apiServer, 'kube-apiserver', [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${secure}`,
    `--tls-cert-file=${write('server.crt', server.cert)}`,
    `--tls-private-key-file=${write('server.key', server.key)}`,
    `--cert-dir=${directory}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-key-file=${accountsPublic}`,
    `--service-account-signing-key-file=${accountsKey}`,
    '--authorization-mode=RBAC',
    `--token-auth-file=${write('tokens.csv', `${admin},admin,admin,"system:masters"\n`)}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--endpoint-reconciler-type=none',
    // It would look for a token of each pod's account, which a controller makes.
    '--disable-admission-plugins=ServiceAccount',
  ]);
  const url = new URL(`https://127.0.0.1:${secure}`);
  const stop = async (): Promise<void> => {
    process.off('exit', killAll);
    for (const child of running.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      child.kill('SIGTERM');
      await ended;
      clearTimeout(late);
    }
    rmSync(directory, { recursive: true, maxRetries: 10, force: true });
  };

  const ask: Cluster['ask'] = async (method, path, body) => {
    const { status, value } = await call(method, path, body);
    // 409: it is there already.
    if (status < 300 || (method === 'POST' && status === 409)) return value;
    throw new Error(`${method} ${path} answered ${status}: ${JSON.stringify(value)}`);
  };

  try {
    await untilReady();
  } catch (error) {
    await stop();
    throw error;
  }
  const cluster: Cluster = {
    url,
    issuer,
    caFile,
    directory,
    kubeconfig: write('kubeconfig', kubeconfig(url, authority.cert, admin)),
    ask,
    stop,
    async addServiceAccount({ namespace, name }) {
      await ask('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      await ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
    },
    async addPod({ namespace, name: account }, name) {
      const pod = await ask('POST', `/api/v1/namespaces/${namespace}/pods`, {
        metadata: { name },
        spec: { serviceAccountName: account, containers: [{ name: 'main', image: 'example.invalid/none' }] },
      });
      return textAt(pod, 'metadata', 'uid');
    },
    async token({ namespace, name }, { audience, pod, seconds = 3600 }) {
      const answer = await ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
        spec: {
          audiences: audience === undefined ? [] : [audience],
          expirationSeconds: seconds,
          ...(pod !== undefined && { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } }),
        },
      });
      return textAt(answer, 'status', 'token');
    },
  };
  return cluster;

  async function untilReady(): Promise<void> {
    const deadline = Date.now() + readyWithinMs;
    for (let last = 'nothing'; ; await sleep(100)) {
      if (apiServer.exitCode !== null || Date.now() > deadline) {
        const log = readFileSync(join(directory, 'kube-apiserver.log'), 'utf8').slice(-3000);
        throw new Error(`the API server is not ready (${last}), its exit code is ${apiServer.exitCode}:\n${log}`);
      }
      // What is ready says so in plain text.
      const answer = await call('GET', '/api/v1/namespaces/default').catch((error: unknown) => ({
        status: 0,
        value: { error: String(error) },
      }));
      const ready = await call('GET', '/readyz').catch(() => ({ status: 0 }));
      if (answer.status === 200 && ready.status === 200) return;
      last = `${answer.status} ${JSON.stringify(answer.value).slice(0, 200)}, ${ready.status}`;
    }
  }

  function call(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly value: Record<string, unknown> }> {
    return new Promise((resolve, reject) => {
      const request = requestHttps(new URL(path, url), {
        method,
        ca: authority.cert,
        agent: false,
        timeout: 20_000,
        headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      });
      request.on('timeout', () => request.destroy(new Error(`${path} took too long`)));
      request.on('error', reject);
      request.on('response', (response) => {
        json(response).then(
          (value: unknown) => resolve({ status: response.statusCode ?? 0, value: isObject(value) ? value : {} }),
          () => resolve({ status: response.statusCode ?? 0, value: {} }),
        );
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function textAt(object: Record<string, unknown>, outer: string, inner: string): string {
  const part = object[outer];
  const value = isObject(part) ? part[inner] : undefined;
  if (typeof value !== 'string') throw new Error(`${outer}.${inner} is missing in ${JSON.stringify(object)}`);
  return value;
}

function kubeconfig(url: URL, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'tests',
        cluster: { server: url.href, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'tests', context: { cluster: 'tests', user: 'admin' } }],
    'current-context': 'tests',
  });
}
