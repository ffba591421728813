/** The Dockerfile's steps, carried out, and what they came to, started as Kubernetes would: its user, a read-only root. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mintToken } from '../../src/cli/token.ts';
import { buildImage, type Image, inImage, whyNoImage } from '../support/image/carry-out.ts';
import { lintDockerfile } from '../support/image/lint.ts';
import { startSlowUpstream } from '../support/slow-upstream.ts';

const skip = whyNoImage();
const secret = 'a'.repeat(64);
const [dataPort, opsPort] = [18_080, 19_464];

describe('the image', { skip, timeout: 900_000 }, () => {
  const work = mkdtempSync(join(tmpdir(), 'opallama-image-'));
  let image: Image;

  before(() => {
    image = buildImage(work, (text) => console.log(text));
  });
  after(() => rmSync(work, { recursive: true, maxRetries: 10, force: true }));

  /** @returns the process of the image, which is the first of its namespace */
  async function start(t: TestContext, policy: Readonly<Record<string, string>> | undefined) {
    const upstream = await startSlowUpstream();
    t.after(() => upstream.close());
    const home = mkdtempSync(join(tmpdir(), 'opallama-mounts-'));
    t.after(() => rmSync(home, { recursive: true, maxRetries: 10 }));
    const mounts: Record<string, string> = { '/etc/opallama': join(home, 'config') };
    mkdirSync(join(home, 'config'));
    writeFileSync(join(home, 'config/jwt-secret'), secret);
    if (policy !== undefined) {
      mkdirSync(join(home, 'policy'));
      for (const [name, text] of Object.entries(policy)) writeFileSync(join(home, 'policy', name), text);
      mounts['/etc/opallama-policy'] = join(home, 'policy');
    }
    const config = {
      listen: { data: `127.0.0.1:${dataPort}`, ops: `127.0.0.1:${opsPort}` },
      upstream: { base_url: upstream.url, readiness: 'required' },
      policy: { path: policy === undefined ? '/opt/opallama/policy.tar.gz' : '/etc/opallama-policy' },
      identity: { jwt: [{ algorithm: 'HS256', secret_file: 'jwt-secret', issuer: 'test', audience: 'opallama' }] },
      shutdown: { delay: '0s' },
    };
    // JSON is YAML.
    writeFileSync(join(home, 'config/opallama.yaml'), JSON.stringify(config));
    for (const each of [home, join(home, 'config')]) chmodSync(each, 0o755);
    const [command = '', ...args] = inImage(image, [...image.entrypoint, ...image.cmd], mounts);
    const began = performance.now();
    const child = spawn(command, args, { env: image.env, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => child.kill('SIGKILL'));
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    for (const deadline = Date.now() + 60_000; ; await sleep(50)) {
      const ready = await fetch(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined);
      if (ready?.status === 200) break;
      assert.ok(Date.now() < deadline && child.exitCode === null, log);
    }
    return { child, log: () => log, tookMs: Math.round(performance.now() - began) };
  }

  /** Of the sidecar itself: the child of what made the namespaces. */
  function pidOf({ pid }: ChildProcess): number {
    const [first = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return Number(first);
  }

  async function stop(child: ChildProcess): Promise<number | null> {
    const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
    process.kill(pidOf(child), 'SIGTERM');
    return exited;
  }

  function chat(): Promise<Response> {
    const token = mintToken(
      {
        algorithm: 'HS256',
        key: createSecretKey(Buffer.from(secret)),
        kid: undefined,
        issuer: 'test',
        audience: 'opallama',
        claims: {},
      },
      { subject: 'alice', roles: ['developer'], expiresInS: 60 },
    );
    return fetch(`http://127.0.0.1:${dataPort}/api/tags`, { headers: { authorization: `Bearer ${token}` } });
  }

  it('passes the linter of Dockerfiles', () => {
    const { status, stdout, stderr } = lintDockerfile();
    assert.equal(status, 0, `${stdout}${stderr}`);
  });

  it('has no shell, no package manager, no file that its user could write, and none that lends rights', () => {
    const names = new Set<string>();
    for (const entry of readdirSync(image.root, { recursive: true, withFileTypes: true })) {
      names.add(entry.name);
      if (entry.isSymbolicLink()) continue;
      const path = join(entry.parentPath, entry.name);
      const { mode, uid } = statSync(path);
      assert.equal(mode & 0o6000, 0, path);
      assert.equal(uid, 0, path);
      assert.ok((mode & 0o002) === 0 || path === join(image.root, 'tmp'), path);
    }
    for (const name of ['sh', 'bash', 'dash', 'busybox', 'apt', 'npm', 'npx', 'curl', 'wget'])
      assert.ok(!names.has(name), name);
    for (const name of ['opa.wasm', 'policy.tar.gz', 'health.js']) assert.ok(names.has(name), name);
    const modules = join(image.root, 'opt/opallama/node_modules');
    const packages = readdirSync(modules).filter(
      (name) => !name.startsWith('.') && readdirSync(join(modules, name)).length > 0,
    );
    for (const name of ['typescript', '@typescript', '@biomejs', 'openai']) assert.ok(!packages.includes(name), name);
    assert.ok(packages.includes('express'));
    const { stdout } = spawnSync('du', ['-sm', image.root], { encoding: 'utf8' });
    console.log(`${stdout.split('\t')[0]} MB`);
  });

  it('starts from the policy that was compiled with it, without a compiler, and ends in good order', async (t) => {
    const { child, log, tookMs } = await start(t, undefined);
    console.log(`ready after ${tookMs} ms`);
    const status = readFileSync(`/proc/${pidOf(child)}/status`, 'utf8');
    assert.match(status, /^Uid:\t65532\t65532\t65532\t65532$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    // OPA's compiler is a process of its own.
    assert.equal(readFileSync(`/proc/${pidOf(child)}/task/${pidOf(child)}/children`, 'utf8'), '');
    assert.match(log(), /policy loaded/);
    assert.equal((await chat()).status, 200);
    assert.equal((await fetch(`http://127.0.0.1:${dataPort}/api/tags`)).status, 401);
    assert.equal(await stop(child), 0);
    assert.match(log(), /"event":"audit".*"policy_result":"allow"/);
  });

  it('compiles Rego that is mounted, on a root that it can not write to', async (t) => {
    const { child } = await start(t, { 'authz.rego': 'package ollama.authz\ndefault allow := true\n' });
    assert.equal((await chat()).status, 200);
    assert.equal(await stop(child), 0);
  });

  it('says by its own health check whether it lives', async (t) => {
    const check = () => {
      const [command = '', ...args] = inImage(image, [...image.healthcheck, `http://127.0.0.1:${opsPort}/healthz`], {});
      return spawnSync(command, args, { encoding: 'utf8', timeout: 30_000 });
    };
    const { child } = await start(t, undefined);
    const alive = check();
    assert.equal(alive.status, 0, alive.stderr);
    assert.equal(await stop(child), 0);
    const gone = check();
    assert.deepEqual([gone.status, /ECONNREFUSED/.test(gone.stderr)], [1, true]);
  });

  it('says what is missing where it is started without a configuration', () => {
    mkdirSync(join(image.root, 'empty'), { recursive: true });
    const [command = '', ...args] = inImage({ ...image, workdir: '/empty' }, [...image.entrypoint, ...image.cmd], {});
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 30_000 });
    assert.equal(status, 2);
    assert.match(stderr, /nobody could enter/);
  });
});
