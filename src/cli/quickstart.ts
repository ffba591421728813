/**
 * `opallama quickstart`, what `npm start` runs: a sidecar on this machine that is ready to be tried, with the Ollama that
 * answers here or, if none does, with the practice upstream.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

import type { Command } from 'commander';

import type { Environment } from '../config/environment.ts';
import type { Config } from '../configured/config.ts';
import { openConnections } from '../upstream/connections.ts';
import { readModelNames } from '../upstream/model-list.ts';
import { createPracticeUpstream, PRACTICE_HEADER } from '../upstream/practice/server.ts';
import { addConfigOptions, type CliDeps, type ConfigOptions, readConfig } from './config-options.ts';
import { runApp } from './run-app.ts';
import { mintToken } from './token.ts';

// Not OPALLAMA_...: variables of that name set members of the configuration.
const secretName = 'QUICKSTART_JWT_SECRET';
const issuer = 'opallama-quickstart';
const audience = 'opallama';
const tokenHours = 8;
/** Ports tried after the usual one. */
const morePorts = 20;

/** The default policy, seen from `src/` and from `dist/`. */
const shippedPolicy = fileURLToPath(new URL('../../policies/', import.meta.url));

export function registerQuickstart(program: Command, deps: CliDeps): void {
  addConfigOptions(program.command('quickstart'))
    .description(
      'try it: bind 127.0.0.1, make a token, print two requests; brings a practice upstream if no Ollama answers',
    )
    .action((options: ConfigOptions) => quickstart(options, deps.environment));
}

async function quickstart(options: ConfigOptions, environment: Environment): Promise<void> {
  const configured = await configure(options, environment);
  const model = await findModel(configured.upstream);
  const practice = model === undefined ? await createPracticeUpstream({}) : undefined;
  const config: Config =
    practice === undefined
      ? configured
      : { ...configured, upstream: { ...configured.upstream, baseUrl: practice.url, tls: undefined } };
  const { app, log } = await runApp(config, {
    searchPath: environment.env['PATH'],
    ...(practice && { extraHeaders: { [PRACTICE_HEADER[0]]: PRACTICE_HEADER[1] }, onClosed: practice.close }),
  });
  if (practice !== undefined) {
    log.warn(
      { upstream: practice.url.origin },
      `no Ollama answers at ${configured.upstream.baseUrl.origin}: the practice upstream answers in its place, which is no model. Start Ollama and run this again`,
    );
  }
  log.flush();
  process.stderr.write(
    describe({
      data: `${config.listen.tls === undefined ? 'http' : 'https'}://${app.data.host}:${app.data.port}`,
      ops: `http://${app.ops.host}:${app.ops.port}`,
      upstream: practice === undefined ? config.upstream.baseUrl.origin : 'practice upstream (no Ollama answers here)',
      policy: config.policies.map(({ path }) => path).join(', '),
      token: makeToken(config),
      model: model ?? 'llama3.2',
    }),
  );
}

/** A secret that lives in this process only: nobody else can make a token, and nothing is left behind. */
async function configure(options: ConfigOptions, environment: Environment): Promise<Config> {
  const env = { ...environment.env, [secretName]: randomBytes(32).toString('base64url') };
  const jwt = [{ algorithm: 'HS256', secret_env: secretName, issuer, audience }];
  return readConfig(
    {
      ...options,
      policy: options.policy ?? shippedPolicy,
      listenData: options.listenData ?? `127.0.0.1:${await findFreePort(8080)}`,
      listenOps: options.listenOps ?? `127.0.0.1:${await findFreePort(9464)}`,
    },
    { ...environment, env },
    [
      { name: 'quickstart', path: 'identity.jwt', value: jwt },
      { name: 'quickstart', path: 'shutdown.delay', value: '0s' },
      // To be tried it needs no second core, and the practice upstream is in this process.
      { name: 'quickstart', path: 'workers', value: 1 },
    ],
  );
}

function makeToken(config: Config): string {
  const [key] = config.identity.jwt;
  if (key === undefined) throw new Error('The quick start has no key.');
  return mintToken(key, { subject: 'alice', roles: ['developer'], expiresInS: tokenHours * 3600 });
}

/** @returns the name of a model that this Ollama has, `undefined` where none answers */
async function findModel({ baseUrl, tls }: Config['upstream']): Promise<string | undefined> {
  const connections = openConnections({ baseUrl, tls, timeouts: { connect: 1000, firstByte: 1000 } });
  try {
    return (await readModelNames(baseUrl, 1000, connections)).find(isSafeAndLocal) ?? 'llama3.2';
  } catch {
    return undefined;
  } finally {
    connections.close();
  }
}

/** A name that is safe to be pasted into a shell; the first request must not leave the machine either. */
function isSafeAndLocal(name: string): boolean {
  return /^[\w.:/-]+$/.test(name) && !/[:-]cloud$/.test(name);
}

/** The usual port, or the next free one. */
async function findFreePort(usual: number): Promise<number> {
  for (let port = usual; port <= usual + morePorts; port += 1) {
    if (await isFree(port)) return port;
  }
  return 0;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

interface Facts {
  readonly data: string;
  readonly ops: string;
  readonly upstream: string;
  readonly policy: string;
  readonly token: string;
  readonly model: string;
}

function describe(facts: Facts): string {
  const ask = (model: string): string =>
    `  curl -N ${facts.data}/api/chat -H "Authorization: Bearer $TOKEN" \\
    -d '{"model":"${model}","messages":[{"role":"user","content":"Why is the sky blue?"}]}'`;
  return `
opallama is ready.

  data     ${facts.data}   (send requests here, as you would to Ollama)
  ops      ${facts.ops}   (/metrics, /healthz, /readyz)
  upstream ${facts.upstream}
  policy   ${facts.policy}

A token for alice, role developer, ${tokenHours} hours:

  TOKEN=${facts.token}

Allowed:

${ask(facts.model)}

Denied, because no role of alice's lists this cloud model:

${ask('gpt-oss:120b-cloud')}

Audit events follow, a line for each request. Ctrl+C stops it.

`;
}
