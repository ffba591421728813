/** Models made, copied, shown and removed by Ollama's own command line, under the shipped policy: who may, and who may not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AuditEvent } from '../../src/types.ts';
import { linesOf, runToEnd } from '../support/ollama/command.ts';
import { type Managed, type ShippedRole, startManaged } from '../support/ollama/managed.ts';

describe('the ollama command that changes models', () => {
  let managed: Managed;
  before(async () => {
    managed = await startManaged();
  });
  after(() => managed.stop());

  const ollama = (role: ShippedRole | undefined, ...args: readonly string[]) =>
    runToEnd(managed.parts.binary, args, managed.environment(role), { cwd: managed.work });
  const done = (role: ShippedRole, operation: string, outcome = 'complete') =>
    managed.sidecar.auditWhere(
      (event: AuditEvent) =>
        event.principal === `${role}-key` && event.operation === operation && event.outcome === outcome,
    );

  // Which blob Ollama has: 404 or 200, the same directly and through the sidecar.
  const lookUp = async (): Promise<number | undefined> => {
    const bytes = await readFile(join(managed.work, 'weights.gguf'));
    const path = `/api/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const ask = (base: string) =>
      fetch(base + path, { method: 'HEAD', headers: { authorization: `Bearer ${managed.token('admin')}` } });
    const { status } = await ask(managed.ollama.url);
    assert.equal((await ask(managed.sidecar.url)).status, status);
    return status;
  };

  it('as role developer uploads and creates nothing', async () => {
    const refused = await ollama('developer', 'create', 'made', '-f', 'Modelfile');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /management_not_allowed/);
    const event = await done('developer', 'blobs.create', 'denied');
    assert.deepEqual([event.reasons, event.status], [['management_not_allowed'], 403]);
    assert.deepEqual([await lookUp(), await managed.models()], [404, []]);
  });

  it('as role admin uploads the weights and creates the model', async () => {
    const made = await ollama('admin', 'create', 'made', '-f', 'Modelfile');
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /success/);
    assert.deepEqual([await lookUp(), await managed.models()], [200, ['made:latest']]);
    const uploaded = await done('admin', 'blobs.create');
    assert.deepEqual([uploaded.status, uploaded.changes, uploaded.usage], [201, undefined, 'none']);
    const created = await done('admin', 'models.create');
    assert.deepEqual([created.model, created.status, created.usage], ['made', 200, 'none']);
  });

  it('uploads weights again, of which Ollama then says that it has them', async () => {
    const made = await ollama('admin', 'create', 'again', '-f', 'Modelfile');
    assert.equal(made.code, 0, made.stderr);
    await managed.sidecar.auditWhere((event) => event.operation === 'blobs.create' && event.status === 200);
    await managed.sidecar.auditWhere((event) => event.operation === 'models.create' && event.outcome === 'complete', 2);
  });

  it('copies it, and shows both as Ollama does to one who asks it directly', async () => {
    const copied = await ollama('admin', 'cp', 'made', 'copied');
    assert.equal(copied.code, 0, copied.stderr);
    assert.deepEqual(await managed.models(), ['again:latest', 'copied:latest', 'made:latest']);
    for (const role of ['admin', 'developer'] as const) {
      const shown = await ollama(role, 'show', 'copied');
      assert.equal(shown.code, 0, shown.stderr);
      assert.deepEqual(linesOf(shown), linesOf(await ollama(undefined, 'show', 'copied')));
    }
    const event = await done('admin', 'models.copy');
    assert.deepEqual([event.model, event.status], ['made', 200]);
  });

  it('as one of the roles that may not, is told what the policy says and changes nothing', async () => {
    for (const args of [
      ['cp', 'made', 'mine'],
      ['rm', 'made'],
      ['push', 'made'],
      ['pull', 'llama3.2'],
    ]) {
      const refused = await ollama('developer', ...args);
      assert.equal(refused.code, 1, args.join(' '));
      assert.match(refused.stderr, /management_not_allowed/, args.join(' '));
    }
    const shown = await ollama('guest', 'show', 'made');
    assert.equal(shown.code, 1);
    assert.match(shown.stderr, /operation_not_allowed/);
    assert.deepEqual(await managed.models(), ['again:latest', 'copied:latest', 'made:latest']);
  });

  it('removes each, and says of one that is gone what Ollama says', async () => {
    for (const name of ['made', 'again', 'copied']) {
      const removed = await ollama('admin', 'rm', name);
      assert.equal(removed.code, 0, removed.stderr);
    }
    assert.deepEqual(await managed.models(), []);
    assert.equal((await done('admin', 'models.delete')).status, 200);
    assert.deepEqual(await ollama('admin', 'rm', 'made'), await ollama(undefined, 'rm', 'made'));
  });
});
