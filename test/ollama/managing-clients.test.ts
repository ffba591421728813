/**
 * Models made, copied, pulled, pushed and removed with Ollama's JavaScript and Python clients under the shipped policy. The
 * registry that is asked is a port of this machine that nobody listens on: Ollama says that in a frame below a status of 200.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Ollama } from 'ollama';
import { type Managed, type ShippedRole, startManaged } from '../support/ollama/managed.ts';
import { portOf } from '../support/port-of.ts';

const run = promisify(execFile);

/** An address of this machine that nobody listens on. */
async function closedAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

describe('clients that change models', () => {
  let managed: Managed;
  let registry: string;
  before(async () => {
    [managed, registry] = [await startManaged(), await closedAddress()];
  });
  after(() => managed.stop());

  const clientOf = (role: ShippedRole | undefined) =>
    role === undefined
      ? new Ollama({ host: managed.ollama.url })
      : new Ollama({ host: managed.sidecar.url, headers: { Authorization: `Bearer ${managed.token(role)}` } });

  /** What a call gave, or how it failed. */
  const outcomeOf = async (call: Promise<unknown>) => {
    try {
      const gave = await call;
      if (typeof gave !== 'object' || gave === null || !(Symbol.asyncIterator in gave)) return gave;
      const frames: unknown[] = [];
      for await (const frame of gave as AsyncIterable<unknown>) frames.push(frame);
      return frames;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return [error.name, error.message];
    }
  };

  const python = async (address: string, token: string) => {
    const script = join(import.meta.dirname, 'managing.py');
    const args = [script, address, token, join(managed.work, 'weights.gguf'), registry];
    const { stdout } = await run(managed.parts.python, args, { timeout: 60_000 });
    const lines = stdout.trimEnd().split('\n');
    return lines.map((line): { readonly call: string; readonly gave: unknown } => JSON.parse(line));
  };

  it('Python: upload and create, copy, show, pull, push and delete: the same directly and through the sidecar', async () => {
    const direct = await python(managed.ollama.url, 'unused');
    assert.deepEqual(await managed.models(), []);
    assert.deepEqual(await python(managed.sidecar.url, managed.token('admin')), direct);
    assert.deepEqual(await managed.models(), []);
    assert.equal(direct.length, 11);
    const gave = Object.fromEntries(direct.map((one) => [one.call, one.gave]));
    assert.deepEqual(gave['copy'], { status: 'success' });
    assert.match(JSON.stringify(gave['pull']), /ResponseError.*connection refused/);
    assert.match(JSON.stringify(gave['push']), /ResponseError.*connection refused/);
    assert.deepEqual(gave['list at the end'], []);

    for (const operation of ['models.pull', 'models.push']) {
      const event = await managed.sidecar.auditWhere((one) => one.operation === operation && one.outcome === 'error');
      assert.deepEqual([event.status, event.policy_result, event.usage], [200, 'allow', 'none']);
    }
  });

  it('Python: a role that may not is told so by each call, and nothing is changed', async () => {
    const refused = await python(managed.sidecar.url, managed.token('developer'));
    const codes = refused.map(({ call, gave }) => [
      call,
      /\((\w+)\) \(status code: 403\)",403\]$/.exec(JSON.stringify(gave))?.[1],
    ]);
    const denied = 'management_not_allowed';
    assert.deepEqual(codes, [
      ['create', denied],
      ['copy', denied],
      ['copy under another host', denied],
      ['show', undefined],
      ['list', undefined],
      ['pull', denied],
      ['pull whole', denied],
      ['push', denied],
      ['delete', denied],
      ['delete what is gone', denied],
      ['list at the end', undefined],
    ]);
    assert.deepEqual(await managed.models(), []);
  });

  it('JavaScript: pull and push of what no registry has, streamed and not: the same directly and through the sidecar', async () => {
    const away = `${registry}/library/made`;
    await run(managed.parts.binary, ['create', 'made', '-f', 'Modelfile'], {
      cwd: managed.work,
      env: managed.environment('admin'),
    });
    await clientOf('admin').copy({ source: 'made', destination: away });
    const calls: ReadonlyArray<(client: Ollama) => Promise<unknown>> = [
      (client) => client.pull({ model: away, stream: true }),
      (client) => client.pull({ model: away }),
      (client) => client.push({ model: away, stream: true }),
      (client) => client.push({ model: away }),
      (client) => client.push({ model: 'nope' }),
    ];
    for (const call of calls) {
      const direct = await outcomeOf(call(clientOf(undefined)));
      assert.deepEqual(await outcomeOf(call(clientOf('admin'))), direct);
      assert.match(JSON.stringify(direct), /^\["(Response)?Error","/);
      assert.match(JSON.stringify(await outcomeOf(call(clientOf('developer')))), /management_not_allowed/);
    }
    for (const model of ['made', away])
      assert.deepEqual(await clientOf('admin').delete({ model }), { status: 'success' });
    assert.deepEqual(await managed.models(), []);
  });

  for (const [what, stream, recorded] of [
    ['streamed: an error below a status of 200', true, ['error', 200]],
    ['whole: a status that says it', false, ['complete', 500]],
  ] as const) {
    it(`a pull that fails, ${what}; its bytes are those of a direct call`, async () => {
      const pull = async (base: string) => {
        const response = await fetch(`${base}/api/pull`, {
          method: 'POST',
          headers: { authorization: `Bearer ${managed.token('admin')}` },
          body: JSON.stringify({ model: `${registry}/library/away`, stream }),
        });
        const id = response.headers.get('x-request-id') ?? '';
        const type = response.headers.get('content-type');
        return { status: response.status, type, body: await response.text(), id };
      };
      const direct = await pull(managed.ollama.url);
      const through = await pull(managed.sidecar.url);
      assert.deepEqual([through.status, through.type, through.body], [direct.status, direct.type, direct.body]);
      assert.match(through.body, /"error":"pull model manifest: .*connection refused/);
      const event = await managed.sidecar.auditOf(through.id);
      assert.deepEqual([event.outcome, event.status], recorded);
    });
  }
});
